"""Prepared TFDS splits -> global batches."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
import grain
import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import Bool, Float32, Int, Int32, UInt8

from brainseg_jax.data import info as data_info
from brainseg_jax.data import normalise
from brainseg_jax.data.info import Info
from brainseg_jax.data.order import Order

Batch = dict[str, np.ndarray]
SKIP = {"image": tfds.decode.SkipDecoding(), "mask": tfds.decode.SkipDecoding()}


@dataclasses.dataclass(frozen=True)
class Source:
    """One split, ordered by patient and slice number."""

    info: Info
    keys: list[str]
    patients: list[str]
    slices: list[int]
    tumour: Bool[np.ndarray, " n"]
    labels: Int32[np.ndarray, " n"]  # places in info.labels
    scaling: Float32[np.ndarray, "n 4 c"]
    read_stored: Callable[
        [int], tuple[np.ndarray, np.ndarray]
    ]  # example -> image, mask
    fit: Callable[
        [np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]
    ]  # to the model
    arrays: Batch  # all images and masks; empty if nothing is kept decoded
    target_name: str  # what batches carry beside images: mask, share or nothing

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, indices: Int[np.ndarray, " b"]) -> Batch:
        """Images, masks, labels and scalings of some examples, on the host."""
        if self.arrays:
            pixels = {name: array[indices] for name, array in self.arrays.items()}
        else:
            image, target = zip(
                *(self.fit(*self.read_stored(int(i))) for i in indices), strict=True
            )
            pixels = {"image": np.stack(image)}
            if self.target_name:
                pixels[self.target_name] = np.stack(target)
        return {
            **pixels,
            "label": self.labels[indices],
            "scaling": self.scaling[indices],
        }

    @property
    def resident(self) -> Batch:
        """What `take` takes from, for keeping on a device."""
        return {**self.arrays, "label": self.labels, "scaling": self.scaling}

    @property
    def resident_bytes(self) -> int:
        return sum(array.nbytes for array in self.resident.values())


def training_batches(
    source: Source, order: Order, start: int, stop: int, *, resident: bool
) -> Iterator[Batch]:
    """Global batches for steps `start` to `stop`, made ahead by threads.

    With `resident` a batch only says which examples to take on the device.
    """
    place = np.arange(order.batch_size, dtype=np.int32)

    def make(step: int) -> Batch:
        indices = order.indices(step)
        if resident:
            return {"place": place, "index": indices.astype(np.int32)}
        return {"place": place, **source.take(indices)}

    if resident:
        return map(make, range(start, stop))
    return iter(_threaded(range(start, stop), make))


def evaluation_batches(source: Source, size: int, *, resident: bool) -> Iterator[Batch]:
    """Every example once, in order; where the last batch is padded `valid` is False."""

    def make(start: int) -> Batch:
        indices = np.minimum(np.arange(start, start + size), len(source) - 1)
        valid = np.arange(start, start + size) < len(source)
        if resident:
            return {"valid": valid, "index": indices.astype(np.int32)}
        return {"valid": valid, **source.take(indices)}

    starts = range(0, len(source), size)
    return map(make, starts) if resident else iter(_threaded(starts, make))


def load(
    name: str,
    split: str,
    data_dir: str | pathlib.Path,
    *,
    size: tuple[int, int],
    normalisation: dict[str, Any],
    keep: bool = True,
    stored_masks: bool = False,
    with_masks: bool = True,
    only_tumour: bool = False,
) -> Source:
    """Opens a split ("fold_0+fold_1", or a leaky one) of a prepared data set.

    Images are resized to `size`. Masks keep their stored size with `stored_masks`; else
    each class's share of every pixel of `size` takes their place, as "share". Batches have
    neither without `with_masks`. With `keep` all lie decoded in memory; else each is read
    when it is taken. Volume statistics come from all slices of a patient, also those
    outside of the split.
    """
    info = data_info.read(name, data_dir)
    builder = data_info.open_builder(name, data_dir)
    everything = "+".join(builder.info.splits)
    opened = everything if split in info.leaky else split
    _check_split(opened, split, builder.info.splits, info)
    records = builder.as_data_source(opened, decoders=SKIP)

    table = list(_threaded(range(len(records)), lambda i: _describe(records[i], i)))
    table.sort(key=lambda row: (row["patient"], row["slice"]))
    chosen = set(info.leaky[split]) if split in info.leaky else None
    kept = [
        (chosen is None or row["key"] in chosen) and (row["tumour"] or not only_tumour)
        for row in table
    ]
    patients = {
        row["patient"] for row, keep_it in zip(table, kept, strict=True) if keep_it
    }
    needed = [i for i, row in enumerate(table) if row["patient"] in patients]
    rows = [table[i] for i, keep_it in enumerate(kept) if keep_it]
    if not rows:
        raise ValueError(f"Split {split!r} of {name} has no examples to use.")

    target_name = "mask" if stored_masks else "share"

    def decode(record: int) -> tuple[np.ndarray, np.ndarray]:
        example = records[record]
        return _decode(example["image"]), _decode(example["mask"])

    def fit(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        classes = info.classes.values()
        target = mask if stored_masks else area_shares(mask, classes, size)
        return resize_image(image, size), target

    def pixels(i: int) -> tuple:
        image, mask = decode(table[i]["record"])
        kept_pixels = fit(image, mask) if keep and kept[i] else None
        return normalise.histogram(image), kept_pixels

    histograms, filled = [], 0
    parts = ("image", target_name) if with_masks else ("image",)
    arrays: Batch = {}
    for counts, example in _threaded(needed, pixels):
        histograms.append(counts)
        if example is None:
            continue
        if not arrays:
            arrays = {
                part: np.empty((len(rows), *array.shape), np.uint8)
                for part, array in zip(parts, example, strict=False)
            }
        for part, array in zip(parts, example, strict=False):
            arrays[part][filled] = array
        filled += 1
    scaling = normalise.scaling(
        np.stack(histograms), [table[i]["patient"] for i in needed], **normalisation
    )
    logging.info(
        "%s %s: %d slices of %d patients", name, split, len(rows), len(patients)
    )
    return Source(
        info=info,
        keys=[row["key"] for row in rows],
        patients=[row["patient"] for row in rows],
        slices=[row["slice"] for row in rows],
        tumour=np.array([row["tumour"] for row in rows]),
        labels=np.array([row["label"] for row in rows], np.int32),
        scaling=scaling[[kept[i] for i in needed]],
        read_stored=lambda i: decode(rows[i]["record"]),
        fit=fit,
        arrays=arrays,
        target_name=target_name if with_masks else "",
    )


def resize_image(
    image: UInt8[np.ndarray, "h w c"], size: tuple[int, int]
) -> UInt8[np.ndarray, "H W c"]:
    """Averages areas when it shrinks, interpolates linearly when it grows."""
    if image.shape[:2] == tuple(size):
        return image
    shrinks = image.shape[0] * image.shape[1] > size[0] * size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, size[::-1], interpolation=method)
    return resized.reshape(*size, image.shape[-1])


def area_shares(
    mask: UInt8[np.ndarray, "h w 1"],
    classes: Iterable[int | Sequence[int]],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W k"]:
    """Of each pixel of `size`, the share that each class covers, in 255ths.

    A class is a label of the mask, or several.

    Unlike the label that covers most of a pixel, shares keep a tumour's area and, once the
    probabilities they teach are resized back, its outline.
    """
    shares = [
        resize_image(np.where(np.isin(mask, labels), 255, 0).astype(np.uint8), size)
        for labels in classes
    ]
    return np.concatenate(shares, axis=-1)


def _threaded(items: Sequence, function: Callable) -> Iterator:
    """function(item) for each item in order, computed ahead by a few threads."""
    dataset = grain.MapDataset.source(items).map(function)
    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=16)
    return iter(dataset.to_iter_dataset(options))


def _describe(example: dict[str, Any], record: int) -> dict[str, Any]:
    return {
        "record": record,
        "key": example["key"].decode(),
        "patient": example["patient"].decode(),
        "slice": int(example["slice"]),
        "tumour": bool(example["has_tumour"]),
        "label": int(example["label" if "label" in example else "has_tumour"]),
    }


def _decode(png: bytes) -> UInt8[np.ndarray, "h w c"]:
    """Channels in their stored order; OpenCV gives three of them reversed."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(
            "A stored image is damaged; delete the data set and rebuild it."
        )
    if pixels.ndim == 2:
        return pixels[..., None]
    return np.ascontiguousarray(pixels[..., ::-1])


def _check_split(opened: str, split: str, splits: Any, info: Info) -> None:
    parts = opened.split("+")
    if missing := [part for part in parts if part not in splits]:
        raise ValueError(
            f"{info.name} has no split {missing[0]!r} (asked for: {split!r}); there are: "
            f"{', '.join([*splits, *info.leaky])}."
        )
    if len(set(parts)) < len(parts):
        raise ValueError(
            f"{split!r} names a split of {info.name} twice; its slices would count twice."
        )
