"""Prepared splits come back whole, in order, and padded only for evaluation."""

import functools

import cv2
import jax
import numpy as np
import pytest

from brainseg_jax import parallel
from brainseg_jax.data import fitting, pixels, reading, sources
from brainseg_jax.data import info as data_info
from brainseg_jax.data.order import Order
from brainseg_jax.inference import scoring
from brainseg_jax.runs import build

NAME = "lgg_mri/phantom"


@pytest.fixture
def load(data_dir):
    return functools.partial(
        sources.open_split,
        NAME,
        data_dir=data_dir,
        size=(64, 64),
        normalisation={"name": "volume_percentile"},
        only_tumour=False,
    )


def test_a_split_is_ordered_by_patient_and_slice(load):
    source = load("fold_0+fold_1")
    rows = list(zip(source.patients, source.slices, strict=True))
    assert rows == sorted(rows)
    folds = {source.info.folds[patient] for patient in source.patients}
    assert folds == {0, 1}


def test_pixels_are_the_raw_ones(load, data_dir):
    source = load("fold_0", size=(256, 256))
    raw = next((data_dir / "raw").rglob(f"{source.keys[3]}.tif"))
    stored = cv2.imread(str(raw), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(source.take(np.array([3]))["image"][0], stored)


def test_reading_one_by_one_gives_what_is_kept_in_memory(load):
    read = load("fold_1")
    kept = reading.keep_decoded(read)
    assert sum(array.nbytes for array in kept.arrays.values()) == read.decoded_bytes
    indices = np.array([4, 0, 2])
    for name, values in kept.take(indices).items():
        np.testing.assert_array_equal(read.take(indices)[name], values)


@pytest.mark.parametrize("name", ["volume_percentile", "image_standard"])
def test_chosen_channels_are_as_if_there_were_no_others(load, name):
    every = load("fold_0", normalisation={"name": name})
    chosen = ("post-contrast", "FLAIR")
    some = load("fold_0", normalisation={"name": name}, channels=chosen)
    assert some.info.channels == chosen
    assert some.info.all_channels == every.info.channels
    image, mask = every.read_stored(2)
    own, own_mask = some.read_stored(2)
    np.testing.assert_array_equal(own, image[..., [2, 1]])
    np.testing.assert_array_equal(own_mask, mask)
    if name == "volume_percentile":  # of each channel by itself
        np.testing.assert_array_equal(some.scaling, every.scaling[..., [2, 1]])
    else:  # of the chosen channels together
        np.testing.assert_allclose(some.scaling[2, 2], own.mean(), rtol=1e-6)
        np.testing.assert_allclose(some.scaling[2, 3], own.std(), rtol=1e-6)
    kept = reading.keep_decoded(some)
    assert sum(array.nbytes for array in kept.arrays.values()) == some.decoded_bytes
    assert some.decoded_bytes < every.decoded_bytes


@pytest.mark.parametrize(
    "channels, said",
    [
        (("T2",), "'T2', which is no channel of lgg_mri/phantom; there are: pre-c"),
        (("FLAIR", "FLAIR"), "name each channel once"),
    ],
)
def test_channels_that_cannot_be_chosen_are_refused(load, channels, said):
    with pytest.raises(ValueError, match=said):
        load("fold_0", channels=channels)


def test_volume_statistics_come_from_all_slices_of_a_patient(load):
    some, every = load("fold_0", only_tumour=True), load("fold_0")
    assert len(some) < len(every)
    places = [every.keys.index(key) for key in some.keys]
    np.testing.assert_array_equal(some.scaling, every.scaling[places])


def test_only_tumour_keeps_the_slices_with_tumour(load):
    source = load("fold_0", only_tumour=True)
    assert source.tumour.all()
    assert source.take(np.arange(len(source)))["share"].any((1, 2, 3)).all()


def test_stored_masks_keep_their_size(load):
    batch = load("fold_0", stored_masks=True).take(np.array([0]))
    assert batch["image"].shape == (1, 64, 64, 3)
    assert batch["mask"].shape == (1, 256, 256, 1)


def test_leaky_splits_are_slices_by_key(load):
    source = load("leaky_test")
    assert sorted(source.keys) == sorted(source.info.leaky["leaky_test"])
    assert "LEAKY" in source.info.note("leaky_train", "leaky_test")


def test_phantoms_say_so(load):
    assert "PHANTOM" in load("fold_0").info.note("fold_0")


def test_evaluation_pads_its_last_batch_and_says_so(load):
    source = load("fold_0+fold_1+fold_2")
    batches = list(reading.evaluation_batches(source, 8, resident=False))
    assert {len(batch["image"]) for batch in batches} == {8}
    assert sum(batch["valid"].sum() for batch in batches) == len(source)


def test_memory_is_asked_for_before_a_pixel_is_decoded(config, tmp_path, monkeypatch):
    def fail(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(parallel, "free_host_bytes", lambda: 1000)
    monkeypatch.setattr(pixels, "decode", fail)
    # Compiling takes a first batch.
    monkeypatch.setattr(build.Run, "compiled", lambda run: run)
    run = build.make_run(config, tmp_path)
    assert not run.resident and not run.training.arrays


def slices_of_two_sizes():
    """As in a set that has images of 512 and of 256: 16 bits, one channel."""
    rng = np.random.default_rng(0)
    shapes = [(8, 8), (4, 4), (8, 8), (4, 4), (4, 4)]
    images = [rng.integers(0, 9999, (*s, 1)).astype(np.uint16) for s in shapes]
    masks = [rng.integers(0, 2, (*s, 1)).astype(np.uint8) for s in shapes]
    return sources.Source(
        info=data_info.described(
            "a/b", channels=["t1"], classes={"tumour": 1}, labels=[], dtype="uint16"
        ),
        keys=list("abcde"),
        patients=list("abcde"),
        slices=[0] * 5,
        shapes=shapes,
        tumour=np.ones(5, bool),
        present=np.ones((5, 1), bool),
        labels=np.arange(5, dtype=np.int32),
        scaling=np.ones((5, 4, 1), np.float32),
        read_stored=lambda i: (images[i], masks[i]),
        fit=fitting.Fit((4, 4), "mask", (1,)),
    )


@pytest.mark.parametrize("decoded", [False, True])
def test_examples_of_one_stored_size_are_evaluated_together(decoded):
    source = slices_of_two_sizes()
    if decoded:
        assert not source.residable
        source = reading.keep_decoded(source)
    batches = list(reading.evaluation_batches(source, 2, resident=False))
    assert [list(b["example"]) for b in batches] == [[0, 2], [1, 3], [4, 4]]
    assert [b["mask"].shape[1:3] for b in batches] == [(8, 8), (4, 4), (4, 4)]
    assert {b["image"].shape for b in batches} == {(2, 4, 4, 1)}
    assert batches[0]["image"].dtype == np.uint16


def test_scores_of_groups_come_back_in_the_splits_order():
    source = slices_of_two_sizes()
    devices = parallel.Devices("mesh", tuple(jax.devices()[:1]))
    scored = scoring.score(
        lambda variables, resident, batch: {
            "loss": batch["mask"].sum((1, 2, 3)),
            "measured": batch["label"],
        },
        {},
        {},
        reading.evaluation_batches(source, 2, resident=False),
        devices,
    )
    np.testing.assert_array_equal(scored.measured, np.arange(5))
    expected = [source.read_stored(i)[1].sum() for i in range(5)]
    np.testing.assert_array_equal(scored.loss, expected)


def test_host_batches_hold_what_the_order_says(load):
    source = load("fold_0+fold_1")
    order = Order(source.tumour, batch_size=4, seed=0, tumour_share=0.0)
    batches = list(reading.training_batches(source, order, 2, 5, resident=False))
    assert len(batches) == 3
    expected = source.take(order.indices(3))
    for name, values in expected.items():
        np.testing.assert_array_equal(batches[1][name], values)


def test_a_smaller_masks_pixels_are_shares_of_each_class():
    # A quarter of the left block is 4, and three quarters of the right one; one pixel is 1.
    mask = np.array([[0, 4, 4, 4], [0, 0, 1, 4]], np.uint8)[..., None]
    shares = fitting.area_shares(mask, (1, 4), (1, 2)) / 255
    np.testing.assert_allclose(shares, [[[0, 0.25], [0.25, 0.75]]], atol=1 / 255)


def test_shares_at_the_stored_size_are_0_and_1():
    mask = np.random.default_rng(0).choice([0, 1, 4], (6, 5, 1)).astype(np.uint8)
    shares = fitting.area_shares(mask, (1, 4), (6, 5))
    np.testing.assert_array_equal(shares, 255 * (mask == np.array([1, 4])))


def restored_dice(masks, size):
    """Dice with themselves of a patient's masks made smaller and brought back."""
    hits = total = 0
    for mask in masks:
        small = fitting.area_shares(mask, (255,), size).astype(np.float32) / 255
        back = jax.image.resize(small, mask.shape, "linear") > 0.5
        hits += 2 * (back & (mask > 0)).sum()
        total += back.sum() + (mask > 0).sum()
    return hits / total


def test_shares_of_half_size_keep_the_outline(load):
    # The label that covers most of a pixel would keep 0.97 of these, and lose area.
    source = load("fold_0+fold_1", stored_masks=True)
    masks = [source.read_stored(i)[1] for i in range(len(source))]
    owner = np.array(source.patients)
    dice = [
        restored_dice([masks[i] for i in np.flatnonzero(owner == name)], (128, 128))
        for name in dict.fromkeys(source.patients)
    ]
    assert np.mean(dice) > 0.985 and min(dice) > 0.975
    small = [fitting.area_shares(mask, (255,), (128, 128)) for mask in masks]
    area = sum(share.sum() / 255 * 4 for share in small)
    assert area == pytest.approx(sum((mask > 0).sum() for mask in masks), rel=2e-3)


def test_a_split_named_twice_is_refused(load):
    with pytest.raises(
        ValueError, match=r"'fold_0\+fold_1\+fold_0' names a split .*twice"
    ):
        load("fold_0+fold_1+fold_0")


def test_an_unknown_split_lists_what_there_is(load):
    with pytest.raises(ValueError, match=r"no split 'fold_9'.*fold_0.*leaky_train"):
        load("fold_0+fold_9")
