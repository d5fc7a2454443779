"""The index of a data set says what reading every example would, and is refused if old."""

import numpy as np
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data import normalise, stored, tallies
from datasets import index as written
from datasets import prepare
from datasets.synthetic import phantom

NAME = "lgg_mri/phantom"


@pytest.fixture
def builder(data_dir):
    return data_info.open_builder(NAME, data_dir)


@pytest.fixture
def index(builder):
    return data_index.read_index(builder.data_dir)


def volume(seed, shape=(4, 6, 5), channels=2):
    rng = np.random.default_rng(seed)
    image = rng.integers(-30, 900, (*shape, channels)).astype(np.int16)
    mask = rng.choice([0, 0, 0, 1, 4], shape).astype(np.uint8)
    return image, mask


def make(folder, count=3):
    """An index of a few volumes of differing sizes, in two splits."""
    index = written.Index()
    for number in range(count):
        image, mask = volume(number, (4, 6, 5 + number))
        index.add(
            f"case_{number}", image, mask, patient=f"p{number}", volume=f"v{number}",
            label=number, spacing=(3.0, 1.0, 1.0),
        )  # fmt: skip
    index.write(folder, {"b": ["case_2"], "a": ["case_1", "case_0"]})
    return data_index.read_index(folder)


def test_each_row_is_its_record(index, builder):
    read = stored.open_records(builder)
    assert len(index) == 40
    for row in range(0, len(index), 7):
        split, record = index.splits[row], index.records[row]
        example = builder.as_data_source(split)[record]
        assert example["key"].decode() == index.keys[row]
        assert example["patient"].decode() == index.patients[row]
        assert example["slice"] == index.slices[row]
        image, mask = read(split, record)
        assert image.shape == (*index.shapes[row], 3)
        assert index.foreground[row] == index.labels[row] == mask.any()
        np.testing.assert_allclose(index.statistics.mean[row], image.mean((0, 1)))
        np.testing.assert_allclose(index.statistics.variance[row], image.var((0, 1)))
        assert (mask[tuple(index.places[row].T)] == 255).all()


def test_a_volumes_tally_counts_all_its_slices(index, builder):
    read = stored.open_records(builder)
    rows = [i for i, name in enumerate(index.volumes) if name == index.volumes[0]]
    images = [read(index.splits[i], index.records[i])[0] for i in rows]
    expected = normalise.statistics(images, ["one"] * len(images))
    found = index.statistics.take(rows)
    for one, other in zip(found.tallies[0], expected.tallies[0], strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(found.mean, expected.mean)


def test_rows_are_in_the_order_of_splits_and_records(tmp_path):
    index = make(tmp_path)
    assert index.keys == ["case_2", "case_1", "case_0"]
    assert index.splits == ["b", "a", "a"] and index.records == [0, 0, 1]
    assert index.patients == ["p2", "p1", "p0"] and list(index.labels) == [2, 1, 0]
    assert index.shapes == [(4, 6, 7), (4, 6, 6), (4, 6, 5)]


def test_volumes_of_16_bits_have_their_own_statistics(tmp_path):
    index = make(tmp_path)
    found = normalise.scaling(index.statistics, name="volume_percentile", low=5)
    assert index.statistics.dtype == np.int16
    for row, number in enumerate((2, 1, 0)):
        pixels = volume(number, (4, 6, 5 + number))[0].reshape(-1, 2).astype(float)
        low, high = np.percentile(pixels, (5, 99.5), axis=0)
        clipped = pixels.clip(low, high)
        expected = [low, high, clipped.mean(0), clipped.std(0)]
        np.testing.assert_allclose(found[row], expected, rtol=1e-6)
        np.testing.assert_array_equal(index.spacings[f"v{number}"], (3, 1, 1))
        assert np.isnan(index.affines[f"v{number}"]).all()


def test_places_are_foreground_with_their_labels(tmp_path):
    index = make(tmp_path)
    for row, number in enumerate((2, 1, 0)):
        mask = volume(number, (4, 6, 5 + number))[1]
        # Fewer than are kept of a label: all of them.
        assert len(index.places[row]) == (mask > 0).sum()
        at = mask[tuple(index.places[row].T)]
        np.testing.assert_array_equal(at, index.place_labels[row])


def test_places_are_few_of_each_label_and_the_same_every_time():
    mask = np.zeros((40, 40), np.uint8)
    mask[:20], mask[30, :5] = 1, 4
    places, labels = written.sample_places(mask, "case")
    assert (labels == 1).sum() == written.PLACES and (labels == 4).sum() == 5
    assert len(np.unique(places, axis=0)) == len(places)
    np.testing.assert_array_equal(places, written.sample_places(mask, "case")[0])
    assert (places != written.sample_places(mask, "other")[0]).any()


def test_both_sides_count_alike():
    for number, dtype in enumerate((np.uint8, np.int16, np.float32)):
        pixels = volume(number)[0].astype(dtype)
        own, other = tallies.tally(pixels), written.tally(pixels)
        np.testing.assert_array_equal(own.values, other[0])
        np.testing.assert_array_equal(own.counts, other[1])
        values, counts = np.unique(pixels, return_counts=True)
        np.testing.assert_array_equal(own.values, values)
        np.testing.assert_array_equal(own.counts, counts)
        both = tallies.merge([own, own]), written.merge(other, other)
        np.testing.assert_array_equal(both[0].counts, 2 * counts)
        np.testing.assert_array_equal(both[1][1], 2 * counts)


def test_many_values_become_bins_that_keep_count_mean_and_extremes():
    rng = np.random.default_rng(0)
    pixels = np.concatenate([np.zeros(30000), rng.lognormal(5, 1, 40000)])
    pixels = pixels.astype(np.float32)
    values, counts = written.limit(written.tally(pixels))
    assert 4000 < len(values) <= written.VALUES and (np.diff(values) > 0).all()
    assert counts.sum() == len(pixels)
    assert (values[0], values[-1]) == (pixels.min(), pixels.max())
    mean = (values * counts).sum() / counts.sum()
    assert mean == pytest.approx(pixels.astype(float).mean(), rel=1e-9)
    binned = tallies.Tally(values, counts)
    for q in (1, 50, 90, 99.5, 99.9):
        expected = np.percentile(pixels.astype(float), q)
        assert tallies.percentile(binned, q) == pytest.approx(expected, rel=0.02)


def test_two_dtypes_in_one_set_are_refused():
    index = written.Index()
    image, mask = volume(0)
    index.add("a", image, mask, patient="p", volume="p")
    with pytest.raises(ValueError, match="b is float32, others are int16"):
        index.add("b", image.astype(np.float32), mask, patient="p", volume="p")


def test_indices_of_different_volumes_become_one(tmp_path):
    parts = []
    for name in "ab":
        one = written.Index()
        image = np.full((2, 2, 2, 1), ord(name), np.int16)
        one.add(name, image, image > 0, patient=name, volume=name)
        parts.append(one)
    whole = written.Index()
    for one in parts:
        whole.update(one)
    whole.write(tmp_path, {"fold_0": ["b", "a"]})
    read = data_index.read_index(tmp_path)
    assert read.keys == ["b", "a"]
    assert [of[0].values.tolist() for of in read.statistics.tallies] == [[98], [97]]
    with pytest.raises(ValueError, match="volume a is in both"):
        whole.update(parts[0])
    other = written.Index()
    other.add("c", image.astype(np.uint8), image > 0, patient="c", volume="c")
    with pytest.raises(ValueError, match="Images are uint8, others are int16"):
        whole.update(other)


def test_a_data_set_without_an_index_says_to_prepare_again(tmp_path):
    raw = phantom.write_lgg(tmp_path / "raw", patients=5, slices=1)
    folder = prepare.prepare("lgg_mri/phantom", tmp_path, raw)
    (folder / data_index.FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"older version.*Prepare it again"):
        data_index.read_index(folder)
