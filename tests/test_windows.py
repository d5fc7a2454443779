"""Sliding windows: nothing is lost or counted twice, whatever the sizes and devices."""

import functools
import tracemalloc

import jax
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from brainseg_jax import parallel
from brainseg_jax.inference import blending, scoring, steps, windows
from brainseg_jax.inference.windows import Windows
from brainseg_jax.metrics import overlap
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective

CLASSES = {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}


MEMBERS = ((1, 2, 4), (1, 4), (4,))


PAINTING = (("WT", 2), ("TC", 1), ("ET", 4))


TASK = segmentation.make_task(
    CLASSES, exclusive=False, threshold=0.5, painting=PAINTING
)


LOSS = objective.make_loss({"cross_entropy": {"weight": 1.0}}, TASK)


SCALING = np.repeat(np.array([[0.0], [100], [50], [10]], np.float32), 3, axis=1)


ONE = parallel.Devices("mesh", tuple(jax.devices()[:1]))


lengths, overlaps = st.integers(1, 23), st.floats(0, 0.9)


class Identity(nn.Module):
    """Logits that are the image."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        return image


class Blur(nn.Module):
    """Two convolutions: a logit depends on two positions either way."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        hidden = nn.relu(nn.Conv(4, (3,) * (image.ndim - 2))(image))
        return nn.Conv(3, (3,) * (image.ndim - 2))(hidden)


@functools.cache
def step_of(model, devices=ONE, mirror=()):
    return devices.eval_step(
        scoring.make_eval_step(model, TASK, LOSS, mirror, Windows((1,), 0, 1, "edge"))
    )


def make_image(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 100, (*shape, 3)).astype(np.int16)


def probabilities(image, size, share, model=None, variables=None, **options):
    """Blended probabilities, with the slabs joined."""
    devices = options.pop("devices", ONE)
    kept = []

    def keep(slab):
        kept.append(slab.copy())
        return np.zeros((*slab.shape[:-1], 1), np.uint8)

    blending.label_volume(
        step_of(model or Identity(), devices, **options),
        keep,
        variables or {},
        {"image": image, "scaling": SCALING},
        Windows(size, share, 4 if devices is ONE else 8, "edge"),
        devices,
    )
    return np.concatenate(kept)


def sigmoid(image):
    return 1 / (1 + np.exp(-(image.astype(float) - 50) / 10))


@given(lengths, lengths, overlaps)
def test_on_each_axis_windows_count_one_everywhere(length, size, share):
    axis = windows.make_axis(length, size, share)
    total = np.zeros(length)
    for start, weights in zip(axis.starts, axis.shares, strict=True):
        for place, weight in enumerate(weights):
            if 0 <= start + place < length:
                total[start + place] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    # Neighbours are apart by no more than the overlap leaves, and at least by one.
    apart = np.diff(axis.starts)
    assert (apart >= 1).all() and (apart <= max(1, int(size * (1 - share)))).all()


def test_a_window_counts_as_nnunets_gaussian_does():
    # 12 positions, windows of 8 at 0 and 4: at position 4 both count, by their distance
    # of 0.5 and 3.5 from the middles, in deviations of 8 / 8 = 1.
    axis = windows.make_axis(12, 8, 0.5)
    assert axis.starts == [0, 4]
    near, far = np.exp(-0.5 * 0.5**2), np.exp(-0.5 * 3.5**2)
    np.testing.assert_allclose(axis.shares[0, 4], near / (near + far), rtol=1e-6)
    np.testing.assert_allclose(axis.shares[1, 0], far / (near + far), rtol=1e-6)
    np.testing.assert_array_equal(axis.shares[0, :4], 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(lengths, min_size=2, max_size=3), st.sampled_from([4, 7]), overlaps)
def test_the_identity_comes_back_exactly(shape, size, share):
    size = (size, 5, 6)[: len(shape)]
    image = make_image(*shape)
    found = probabilities(image, size, share)
    assert found.shape == image.shape
    np.testing.assert_allclose(found, sigmoid(image), atol=2e-6)


@pytest.mark.parametrize(
    "shape, size", [((30, 35), (18, 18)), ((12, 20, 20), (12, 14, 14))]
)
def test_windows_give_what_the_whole_gives_where_they_see_enough(shape, size):
    image, model = make_image(*shape), Blur()
    normalised = (np.clip(image, 0, 100) - 50).astype(np.float32)[None] / 10
    variables = model.init(jax.random.key(0), normalised)
    whole = np.asarray(jax.nn.sigmoid(model.apply(variables, normalised)))[0]
    found = probabilities(image, size, 0.25, model, variables)
    clear = np.ones(shape, bool)  # no window's edge is within the two positions
    for axis, (one, length) in enumerate(
        zip(Windows(size, 0.25, 1, "edge").axes(shape), size, strict=True)
    ):
        edges = [*one.starts, *(start + length for start in one.starts)]
        places = np.arange(shape[axis])
        far = np.all([abs(places + 0.5 - edge) > 2 for edge in edges], axis=0)
        clear &= far.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    assert clear.any()
    np.testing.assert_allclose(found[clear], whole[clear], atol=1e-4)
    # Near a window's edge it counts next to nothing.
    np.testing.assert_allclose(found, whole, atol=0.1)


@pytest.mark.parametrize("mode", parallel.MODES)
@pytest.mark.parametrize("count", [2, 8])
def test_devices_agree(mode, count):
    image, model = make_image(7, 11, 9), Blur()
    variables = model.init(jax.random.key(0), np.zeros((1, 6, 6, 6, 3), np.float32))
    expected = probabilities(image, (6, 6, 6), 0.5, model, variables)
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    placed = devices.replicate(variables)
    found = probabilities(image, (6, 6, 6), 0.5, model, placed, devices=devices)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_mirror_images_are_within_each_window():
    image, model = make_image(5, 6, 9), Blur()
    variables = model.init(jax.random.key(0), np.zeros((1, 6, 6, 6, 3), np.float32))
    flipped = probabilities(image[:, :, ::-1], (6, 6, 6), 0.5, model, variables)
    plain = probabilities(image, (6, 6, 6), 0.5, model, variables)
    expected = (plain + flipped[:, :, ::-1]) / 2
    mirror = ("horizontal",)
    found = probabilities(image, (6, 6, 6), 0.5, model, variables, mirror=mirror)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def blend_zeros(depth):
    size, shape = (8, 16, 16), (depth, 64, 64)
    grid = windows.grid(Windows(size, 0.5, 1, "edge").axes(shape))
    parts = ((window, np.zeros((*size, 3), np.float32)) for window in grid)
    return sum(len(slab) for _, slab in blending.blend(parts, shape, size))


def test_memory_does_not_grow_with_depth():
    peaks = []
    for depth in (32, 256):
        tracemalloc.start()
        assert blend_zeros(depth) == depth
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    slab = 8 * 64 * 64 * 3 * 4
    # The slab, and a copy of half of it; the list of windows is a few bytes each.
    assert slab < peaks[0] < 2 * slab
    assert peaks[1] < peaks[0] + slab / 2


def test_one_compiled_function_serves_volumes_of_all_sizes():
    compiled = []

    class Counting(nn.Module):
        @nn.compact
        def __call__(self, image, *, train=False, keys=None):
            compiled.append(image.shape)
            return image

    model = Counting()
    for shape in ((5, 6, 7), (9, 3, 12), (20, 20, 20)):
        probabilities(make_image(*shape), (4, 5, 6), 0.5, model)
    assert compiled == [(4, 4, 5, 6, 3)]


def test_labels_are_decided_and_counted_as_they_are_of_whole_examples():
    image = make_image(6, 7, 8)
    rng = np.random.default_rng(1)
    mask = rng.choice(np.array([0, 1, 2, 4], np.uint8), (6, 7, 8, 1))
    ordered = np.sort(image, axis=-1)[..., ::-1].copy()  # nested, as regions are
    example = {"image": ordered, "mask": mask, "scaling": SCALING}
    options = Windows((4, 4, 4), 0.5, 4, "edge")
    label = functools.partial(
        blending.label_volume, step_of(Identity()), blending.make_decide(TASK), {},
        windows=options, devices=ONE,
    )  # fmt: skip
    scored = scoring.score_labels(label, iter([example]), MEMBERS)
    batch = {name: values[None] for name, values in example.items()}
    whole = steps.eval_step(
        {}, {}, batch, model=Identity(), task=TASK, loss=LOSS, mirror=()
    )
    jax.tree.map(np.testing.assert_array_equal, scored.measured, whole["measured"])
    np.testing.assert_allclose(scored.loss, whole["loss"], rtol=0.2)
    np.testing.assert_array_equal(
        label(example).labels, TASK.predict(sigmoid(ordered)[None])[0]
    )


def test_counts_of_labels_by_hand():
    truth = np.array([0, 1, 2, 4, 4], np.uint8)[:, None]
    pred = np.array([2, 1, 4, 4, 0], np.uint8)[:, None]
    counts = overlap.counts_of_labels(overlap.label_table(pred, truth), MEMBERS)
    # Of WT {1, 2, 4}: found at 0 to 3, true at 1 to 4. ET {4}: found 2, 3, true 3, 4.
    assert counts.true_positives.tolist() == [[3, 2, 1]]
    assert counts.false_positives.tolist() == [[1, 1, 1]]
    assert counts.false_negatives.tolist() == [[1, 1, 1]]
    assert counts.true_negatives.tolist() == [[0, 1, 2]]
    with pytest.raises(ValueError, match="has shape"):
        overlap.label_table(pred, truth[:3])
