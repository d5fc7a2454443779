"""index.npz: what is known of every stored example, so that nobody reads it to find out.

A builder adds each example once while it checks its raw files, and writes the index beside
the TFDS files from `_split_generators`, where `self.data_dir` still has TFDS's name for an
unfinished data set. brainseg_jax/data/index.py reads it.

Of n examples with d axes and c channels, in the order of splits and records:
  key, patient, volume, split   [n] text; intensities are normalised over a volume
  slice, record, label          [n] record: its place in the split
  shape                         [n d] spatial
  mean, variance                [n c] of the image
  place, place_label            [p d], [p] places of foreground, example after example
  place_count                   [n] how many of those are an example's
Of v volumes:
  volume_name                   [v] text
  value, count                  how often each value occurs, channel after channel of each
                                volume after volume
  value_count                   [v c] how many of those are a channel's
  spacing, affine               [v d], [v 4 4] in mm; NaN where not known
And dtype, that of the images.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

FILE = "index.npz"
VALUES = 4096  # of a channel that are told apart
HELD = 2**16  # of a channel that are told apart while its volume grows
PLACES = 256  # of each label of an example that are kept
SEED = 0
WIDEST = 2**20  # range of integers that are counted in a table

Tally = tuple[np.ndarray, np.ndarray]  # values in rising order, how often each occurs


class Example(NamedTuple):
    """One row of the index."""

    patient: str
    volume: str
    slice: int
    label: int
    shape: tuple[int, ...]
    mean: np.ndarray
    variance: np.ndarray
    places: np.ndarray
    place_labels: np.ndarray


class Volume(NamedTuple):
    """Intensities of what is normalised together, and where its grid lies."""

    tallies: list[Tally]
    spacing: np.ndarray
    affine: np.ndarray


class Index:
    """Grows by an example at a time; holds no pixels."""

    def __init__(self) -> None:
        self.examples: dict[str, Example] = {}
        self.volumes: dict[str, Volume] = {}
        self.dtype: np.dtype | None = None

    def add(
        self,
        key: str,
        image: np.ndarray,
        mask: np.ndarray,
        *,
        patient: str,
        volume: str,
        number: int = 0,
        label: int | None = None,
        spacing: Sequence[float] | None = None,
        affine: np.ndarray | None = None,
    ) -> None:
        """An image [*space c] and its mask [*space] or [*space 1].

        Args:
            volume: whose intensities are normalised together: often the patient.
            number: place of a slice in its volume.
            label: of the whole example; None: whether there is foreground.

        Raises:
            ValueError: if the image is of another type than those before it.
        """
        if self.dtype not in (None, image.dtype):
            raise ValueError(f"{key} is {image.dtype}, others are {self.dtype}.")
        self.dtype = image.dtype
        space = image.shape[:-1]
        own = [tally(image[..., channel]) for channel in range(image.shape[-1])]
        mean, variance = np.array([moments(one) for one in own]).T
        places, labels = sample_places(mask.reshape(space), key)
        self.examples[key] = Example(
            patient=patient,
            volume=volume,
            slice=number,
            label=int(len(places) > 0) if label is None else label,
            shape=space,
            mean=mean,
            variance=variance,
            places=places,
            place_labels=labels,
        )
        unknown = np.full(len(space), np.nan), np.full((4, 4), np.nan)
        before = self.volumes.get(volume)
        pooled = own if before is None else list(map(merge, before.tallies, own))
        self.volumes[volume] = Volume(
            [limit(one, HELD) for one in pooled],
            unknown[0] if spacing is None else np.asarray(spacing, float),
            unknown[1] if affine is None else np.asarray(affine, float),
        )

    def update(self, other: "Index") -> None:
        """Takes over all of another's examples; no volume may be in both.

        Raises:
            ValueError: if their images are of another type, or a volume is in both.
        """
        if self.dtype not in (None, other.dtype):
            raise ValueError(f"Images are {other.dtype}, others are {self.dtype}.")
        if shared := self.volumes.keys() & other.volumes.keys():
            raise ValueError(f"The volume {min(shared)} is in both.")
        self.dtype = other.dtype
        self.examples |= other.examples
        self.volumes |= other.volumes

    def write(
        self, folder: str | pathlib.Path, splits: Mapping[str, Sequence[str]]
    ) -> None:
        """Writes index.npz; `splits` has the keys of each in the order of its records."""
        stored = [
            (key, split, record)
            for split, keys in splits.items()
            for record, key in enumerate(keys)
        ]
        rows = [self.examples[key] for key, _, _ in stored]
        names = list(dict.fromkeys(row.volume for row in rows))
        volumes = [self.volumes[name] for name in names]
        tallies = [[limit(one) for one in volume.tallies] for volume in volumes]
        arrays: dict[str, Any] = {
            "dtype": str(self.dtype),
            "key": [key for key, _, _ in stored],
            "split": [split for _, split, _ in stored],
            "record": [record for _, _, record in stored],
            "patient": [row.patient for row in rows],
            "volume": [row.volume for row in rows],
            "slice": [row.slice for row in rows],
            "label": [row.label for row in rows],
            "shape": [row.shape for row in rows],
            "mean": [row.mean for row in rows],
            "variance": [row.variance for row in rows],
            "place": np.concatenate([row.places for row in rows]),
            "place_label": np.concatenate([row.place_labels for row in rows]),
            "place_count": [len(row.places) for row in rows],
            "volume_name": names,
            "value": np.concatenate([one[0] for of in tallies for one in of]),
            "count": np.concatenate([one[1] for of in tallies for one in of]),
            "value_count": [[len(one[0]) for one in of] for of in tallies],
            "spacing": [volume.spacing for volume in volumes],
            "affine": [volume.affine for volume in volumes],
        }
        plain: Any = {name: np.asarray(value) for name, value in arrays.items()}
        np.savez_compressed(pathlib.Path(folder) / FILE, **plain)


def tally(pixels: np.ndarray) -> Tally:
    """Each value, and how often it occurs."""
    if np.issubdtype(pixels.dtype, np.integer):
        low, high = int(pixels.min()), int(pixels.max())
        if high - low < WIDEST:
            counts = np.bincount(pixels.reshape(-1).astype(np.int64) - low)
            found = np.flatnonzero(counts)
            return (found + low).astype(float), counts[found]
    values, counts = np.unique(pixels, return_counts=True)
    return values.astype(float), counts


def merge(one: Tally, other: Tally) -> Tally:
    """The tally of both together."""
    values, place = np.unique(np.concatenate([one[0], other[0]]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, place, np.concatenate([one[1], other[1]]))
    return values, counts


def limit(full: Tally, most: int = VALUES) -> Tally:
    """At most so many values: frequent ones and the extremes, of others means of bins.

    Bins have about equal counts and not widths: a few bright voxels would take all of them.
    """
    values, counts = full
    if len(values) <= most:
        return full
    kept = counts > 2 * counts.sum() / most  # such as background; fewer than most / 2
    kept[[0, -1]] = True
    others, often = values[~kept], counts[~kept]
    rank = np.cumsum(often) - often
    bins = rank * (most - kept.sum()) // often.sum()
    in_bin = np.bincount(bins, often)
    used = in_bin > 0
    means = np.bincount(bins, often * others)[used] / in_bin[used]
    some = np.concatenate([values[kept], means])
    how_often = np.concatenate([counts[kept], in_bin[used].astype(np.int64)])
    order = np.argsort(some)
    return some[order], how_often[order]


def moments(one: Tally) -> tuple[float, float]:
    """Mean and variance."""
    values, counts = one
    mean = (counts * values).sum() / counts.sum()
    return mean, (counts * (values - mean) ** 2).sum() / counts.sum()


def sample_places(mask: np.ndarray, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Places of each label but 0, few of each, and their labels: the same for one key."""
    rng = np.random.default_rng([SEED, *key.encode()])
    chosen = []
    for label in np.unique(mask[mask > 0]):
        found = np.flatnonzero(mask == label)
        if len(found) > PLACES:
            found = np.sort(rng.choice(found, PLACES, replace=False))
        chosen.append(found)
    flat = np.concatenate(chosen) if chosen else np.zeros(0, int)
    places = np.stack(np.unravel_index(flat, mask.shape), axis=-1)
    return places.astype(np.int32), mask.reshape(-1)[flat]
