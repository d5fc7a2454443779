"""Volumes and parts of them: what is drawn is a function of (seed, step) alone."""

import functools

import numpy as np
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data import inputs, patches, reading, resident, sources
from brainseg_jax.data.order import Order
from brainseg_jax.data.patches import Patches
from tests import tiny_volumes

PATCH = (4, 6, 6)
CUTTING = {"size": PATCH, "foreground_share": 0.5, "fill": "edge"}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """`sources.open_split` of a prepared set of volumes."""
    folder = tmp_path_factory.mktemp("volumes")
    name = tiny_volumes.build(folder)
    return functools.partial(
        sources.open_split,
        name,
        data_dir=folder,
        size=PATCH,
        normalisation={"name": "volume_percentile"},
        only_tumour=False,
    )


@pytest.fixture
def training(volumes):
    return volumes("fold_0", cutting=CUTTING)


def make_order(source, seed=0):
    return Order(source.tumour, batch_size=3, seed=seed, tumour_share=0.0)


def batches(source, start, stop, seed=0):
    order = make_order(source, seed)
    return list(reading.training_batches(source, order, start, stop, resident=False))


def numpys(number, corner):
    """A patch as slicing has it, where the volume is large enough, else padded."""
    image, mask = tiny_volumes.make_volume(number)
    before = np.maximum(-corner, 0)
    after = np.maximum(corner + PATCH - image.shape[:3], 0)
    pad = [*zip(before, after, strict=True), (0, 0)]
    at = tuple(
        slice(c, c + p) for c, p in zip(np.maximum(corner, 0), PATCH, strict=True)
    )
    return np.pad(image, pad, "edge")[at], np.pad(mask, pad, "edge")[at]


def test_volumes_of_another_spacing_than_most_are_told_of(training, volumes, caplog):
    index = data_index.read_index(
        data_info.open_builder(
            training.info.name, volumes.keywords["data_dir"]
        ).data_dir
    )
    index.spacings["patient_2"] = np.array([1.0, 1.0, 2.5])
    rows = [index.keys.index(key) for key in training.keys]
    found = sources._with_spacings(training, index, rows)
    assert found.info.spacing == (1, 1, 1)
    assert "1 of 4 volumes have voxels of another size than most" in caplog.text


def test_a_set_of_volumes_describes_itself(training):
    assert (training.info.dimensions, training.info.dtype) == (3, "int16")
    assert training.shapes == tiny_volumes.SHAPES[:4]
    assert training.info.painting == [("WT", 2), ("TC", 1), ("ET", 4)]
    image, mask = training.read_stored(2)
    np.testing.assert_array_equal(image, tiny_volumes.make_volume(2)[0])
    np.testing.assert_array_equal(mask, tiny_volumes.make_volume(2)[1])


def test_volumes_are_normalised_by_their_own_percentiles(training):
    for i in range(4):
        pixels = tiny_volumes.make_volume(i)[0].reshape(-1, 4).astype(float)
        low, high = np.percentile(pixels, (1, 99.5), axis=0)
        clipped = pixels.clip(low, high)
        expected = [low, high, clipped.mean(0), clipped.std(0)]
        np.testing.assert_allclose(training.scaling[i], expected, rtol=1e-6)


def test_patches_are_what_slicing_gives(training):
    order = make_order(training)
    for step, batch in enumerate(batches(training, 0, 12)):
        examples = order.indices(step)
        corners = training.patches.corners(examples, seed=0, step=step)
        assert batch["image"].shape == (3, *PATCH, 4)
        assert batch["image"].dtype == np.int16
        for k, example in enumerate(examples):
            image, mask = numpys(int(example), corners[k])
            np.testing.assert_array_equal(batch["image"][k], image)
            regions = [np.isin(mask, [1, 2, 4]), np.isin(mask, [1, 4]), mask == 4]
            np.testing.assert_array_equal(
                batch["share"][k], 255 * np.concatenate(regions, -1)
            )
            np.testing.assert_array_equal(
                batch["scaling"][k], training.scaling[example]
            )


def test_the_order_is_a_function_of_seed_and_step(training, volumes):
    expected = batches(training, 0, 8)
    # As after a resume, in another process: a new source, and the last steps alone.
    again = batches(volumes("fold_0", cutting=CUTTING), 5, 8)
    for one, other in zip(expected[5:], again, strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(other[name], values)
    other_seed = batches(training, 0, 8, seed=1)
    assert any(
        (one["image"] != other["image"]).any()
        for one, other in zip(expected, other_seed, strict=True)
    )


def test_decoded_volumes_give_the_same_patches(training):
    decoded = reading.keep_decoded(training)
    held = [*decoded.arrays["image"], *decoded.arrays["mask"]]
    assert sum(array.nbytes for array in held) == training.decoded_bytes
    for one, other in zip(batches(training, 3, 6), batches(decoded, 3, 6), strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(other[name], values)


@pytest.mark.parametrize("fill", ["edge", "empty"])
def test_a_device_cuts_the_same_patches(volumes, fill):
    # Two of four volumes are smaller than the patch on some axis.
    source = reading.keep_decoded(volumes("fold_0", cutting={**CUTTING, "fill": fill}))
    kept = resident.arrays_of(source)
    there = kept["image"].nbytes + kept["share"].nbytes
    assert there == resident.bytes_of(source)
    order = make_order(source)
    said = reading.training_batches(source, order, 0, 8, resident=True)
    for given, batch in zip(said, batches(source, 0, 8), strict=True):
        assert given.keys() == {"place", "index", "corner"}
        found = inputs.assemble(kept, given, PATCH)
        expected = inputs.assemble({}, batch)
        for name in ("image", "share", "label"):
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize(
    "share, expected", [(0.0, 0), (0.25, 50), (0.5, 100), (1, 200)]
)
def test_the_share_with_foreground_in_the_middle_is_exact(share, expected):
    # One place of foreground, far from all edges: 200 patches, 4 of a batch.
    cutting = Patches((4, 4), [(400, 400)], [np.array([[37, 201]])], share, "edge")
    corners = [cutting.corners(np.zeros(4, int), seed=5, step=k) for k in range(50)]
    middle = (np.concatenate(corners) == (35, 199)).all(-1)
    assert middle.sum() == expected


def test_patches_lie_within_their_examples_and_reach_every_corner():
    cutting = Patches((2, 3), [(3, 5)], [np.array([[0, 0], [2, 4]])], 0.5, "edge")
    corners = np.concatenate(
        [cutting.corners(np.zeros(4, int), seed=0, step=k) for k in range(50)]
    )
    assert {tuple(corner) for corner in corners.tolist()} == {
        (row, column) for row in range(2) for column in range(3)
    }


def test_what_is_smaller_than_a_patch_lies_in_its_middle():
    cutting = Patches((4, 7), [(9, 4)], [np.zeros((0, 2), int)], 1.0, "edge")
    corners = cutting.corners(np.zeros(8, int), seed=0, step=0)
    assert (corners[:, 1] == -1).all()  # 1 column before it and 2 after
    assert corners[:, 0].min() >= 0 and corners[:, 0].max() <= 5


def test_beyond_the_edge_lies_the_stated_fill():
    pixels = np.array([[3, 5], [7, 9]], np.int16)[..., None]
    edge = patches.cut(pixels, (-1, 0), (4, 2), fill="edge")[..., 0]
    np.testing.assert_array_equal(edge, [[3, 5], [3, 5], [7, 9], [7, 9]])
    empty = patches.cut(pixels, (0, -1), (2, 4), fill="empty")[..., 0]
    np.testing.assert_array_equal(empty, [[3, 3, 5, 3], [3, 7, 9, 3]])
    mask = patches.cut(pixels, (0, 0), (2, 3), fill="empty", empty=0)[..., 0]
    np.testing.assert_array_equal(mask, [[3, 5, 0], [7, 9, 0]])


def test_volumes_of_several_sizes_evaluate_in_groups_at_their_own_size(volumes):
    source = volumes("fold_0+fold_1", stored_masks=True)
    order = reading.evaluation_order(source, 2)
    assert [list(part) for part in order] == [[0], [1], [2], [3], [4], [5]]
    with pytest.raises(ValueError, match="volume of 5x8x9 is not resized"):
        source.take(np.array([0]))


@pytest.mark.parametrize(
    "key, options",
    [("size", {"size": (4, 4)}), ("patch", {"cutting": {**CUTTING, "size": (4, 4)}})],
)
def test_sizes_have_as_many_numbers_as_the_data_have_axes(volumes, key, options):
    with pytest.raises(ValueError, match=rf"config.data.{key} has 2 numbers.*3 axes"):
        volumes("fold_0", **options)
