"""What a prepared data set holds beyond its index: mask areas, places, patients' facts."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8

from brainseg_jax.data import damage, fitting, stored
from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data.index import Index
from brainseg_jax.data.info import Info

SIDE = 128  # of the maps of where masks lie

Labels = int | Sequence[int]


@dataclasses.dataclass(frozen=True)
class Survey:
    """One data set, all splits; rows are those of its index."""

    info: Info
    index: Index
    areas: Int64[
        np.ndarray, "n k"
    ]  # mask pixels of each class; no column without masks
    places: Float64[np.ndarray, "k side side"]  # summed over examples: class's share
    institutions: dict[str, str]  # patient -> where scanned; empty where not told
    patient_table: dict[str, dict[str, str]]  # patient -> the publisher's columns
    read: Callable[[int], dict[str, Any]]  # row -> image, and mask and border if there

    @property
    def has_masks(self) -> bool:
        return self.areas.shape[1] > 0


def survey(
    name: str,
    data_dir: str | pathlib.Path,
    *,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Survey:
    """Reads every mask once, no image; `progress` is handed the rows and gives them back.

    Raises:
        FileNotFoundError: if the data set is not prepared, or by an older version.
        ValueError: if a file of it is damaged.
    """
    info = data_info.read_info(name, data_dir)
    builder = data_info.open_builder(name, data_dir)
    index = data_index.read_index(builder.data_dir)
    features, metadata = builder.info.features, builder.info.metadata
    classes = tuple(info.classes.values()) if "mask" in features else ()
    read_facts = stored.open_features(builder, ("mask", "institution"))
    read_pixels = stored.open_features(builder, ("image", "mask", "border"))
    areas = np.zeros((len(index), len(classes)), np.int64)
    places = np.zeros((len(classes), SIDE, SIDE))
    institutions = {}
    for row in progress(range(len(index))):
        facts = read_facts(index.splits[row], index.records[row])
        if "institution" in facts:
            institutions[index.patients[row]] = facts["institution"].decode()
        if classes and index.foreground[row]:
            areas[row] = count_pixels(facts["mask"], classes)
            places += share_map(facts["mask"], classes)
    with damage.named(pathlib.Path(builder.data_dir) / "metadata.json"):
        table = metadata.get("patient_table", {})
        table = {patient: dict(row) for patient, row in table.items()}
    return Survey(
        info=info,
        index=index,
        areas=areas,
        places=places,
        institutions=institutions,
        patient_table=table,
        read=lambda row: read_pixels(index.splits[row], index.records[row]),
    )


def count_pixels(
    mask: UInt8[np.ndarray, "*space 1"], classes: Sequence[Labels]
) -> Int64[np.ndarray, " k"]:
    """How many pixels each class has; a class is a label or several."""
    return np.array([np.isin(mask, labels).sum() for labels in classes], np.int64)


def share_map(
    mask: UInt8[np.ndarray, "*space 1"], classes: Sequence[Labels], side: int = SIDE
) -> Float64[np.ndarray, "k side side"]:
    """The share of each part of a picture that a class covers; volumes seen from above."""
    flat = [
        np.isin(mask[..., 0], labels).reshape(-1, *mask.shape[-3:-1]).max(0)
        for labels in classes
    ]
    shares = [
        fitting.resize_image(one[..., None].astype(np.float32), (side, side))
        for one in flat
    ]
    return np.stack([share[..., 0] for share in shares]).astype(float)


def mean_picture(
    pictures: Iterable[np.ndarray], side: int = SIDE
) -> Float64[np.ndarray, "side side"]:
    """Of pictures [h w c] of any type: each made grey, from 0 to 1, and of one size."""
    total, count = np.zeros((side, side)), 0
    for picture in pictures:
        grey = picture.astype(np.float32).mean(-1)
        small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
        low, high = np.percentile(small, (1, 99.5))
        total += np.clip((small - low) / max(high - low, 1e-6), 0, 1)
        count += 1
    return total / max(count, 1)
