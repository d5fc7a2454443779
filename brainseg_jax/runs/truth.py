"""True masks of what is predicted: pictures' found by name, and how well they are met."""

import collections
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import UInt8

from brainseg_jax.data import image_files, leakage, mat_files
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.metrics import overlap
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.runs import results
from brainseg_jax.runs.records import About

Row = dict[str, Any]
Mask = UInt8[np.ndarray, "h w"]
ENDINGS = (".tif", ".tiff", ".png", ".mat")  # JPEG changes labels
SUFFIX = "_mask"


class Truth(NamedTuple):
    """Where the mask of each picture or case is, what labels mean, what empty ones give."""

    masks: Mapping[Any, pathlib.Path]
    members: Mapping[str, tuple[int, ...]]  # class -> its labels
    empty: str
    note: str = ""


def find(folder: str, pictures: Sequence[pathlib.Path], about: About) -> Truth:
    """A mask has the picture's name, or that and `_mask`; where names repeat, its folder's.

    Pictures without a mask are told of, and those of patients that were trained on.

    Raises:
        FileNotFoundError: if the folder is none, or holds no mask of any picture.
        ValueError: if several masks may be that of a picture.
    """
    by_name = _by_name(folder_of(folder), {path.absolute() for path in pictures})
    repeats = collections.Counter(path.stem for path in pictures)
    found = {
        path: mask_of(path, by_name[path.stem], lone=repeats[path.stem] == 1)
        for path in pictures
    }
    masks = {path: mask for path, mask in found.items() if mask}
    if not masks:
        raise FileNotFoundError(
            f"--truth={folder} holds no mask of {pictures[0].name} or another input. A "
            f"mask has the picture's name, or <name>{SUFFIX}, and ends in "
            f"{', '.join(ENDINGS)}."
        )
    if without := len(pictures) - len(masks):
        logging.warning("%d of %d pictures have no mask.", without, len(pictures))
    return known_of(masks, pictures, about)


def folder_of(folder: str) -> pathlib.Path:
    """Raises FileNotFoundError if it is none."""
    if not pathlib.Path(folder).is_dir():
        raise FileNotFoundError(
            f"--truth={folder} is no folder; name that of the masks."
        )
    return pathlib.Path(folder)


def known_of(
    masks: Mapping[Any, pathlib.Path], inputs: Sequence[pathlib.Path], about: About
) -> Truth:
    """Masks with what the model's data set says of labels; `inputs` tell whose they are."""
    info = about.info.joined(about.config["task"]["foreground"])
    return Truth(
        masks,
        dict(zip(info.classes, info.members, strict=True)),
        about.config["evaluation"]["empty"],
        _trained_on(inputs, about),
    )


def made_from(truth: Truth | None) -> Row:
    """By which a second run knows whether the masks are still the same."""
    if truth is None:
        return {}
    return {"truth": {str(mask): results.stamp(mask) for mask in truth.masks.values()}}


def read(path: pathlib.Path, shape: tuple[int, ...]) -> Mask:
    """Labels, of the picture's own shape.

    Raises:
        UnreadableImage: if it cannot be decoded, or is of another shape.
    """
    if path.suffix.lower() == ".mat":
        mask = mat_files.read(path, mat_files.MASK)[..., 0].astype(np.uint8)
    else:
        mask = image_files.read_image(path, 1, "uint8")[..., 0]
    if mask.shape != shape:
        raise UnreadableImage(
            f"The mask {path} is of {mask.shape}, its picture of {shape}; export it at the "
            "picture's size."
        )
    return mask


def compare(
    predicted: UInt8[np.ndarray, "*space"],
    true: UInt8[np.ndarray, "*space"],
    truth: Truth,
    unit: str = "pixels",
) -> Row:
    """Dice of all that is marked, whatever its label, and of each of several classes."""
    table = overlap.label_table(predicted[..., None], true[..., None])
    classes = {"dice": (*range(1, 256),)}
    if len(truth.members) > 1:
        classes |= {f"dice_{name}": labels for name, labels in truth.members.items()}
    counts = overlap.counts_of_labels(table, list(classes.values()))
    dice = overlap.dice(counts, empty=truth.empty)[0]
    return {
        f"true_{unit}": int(table[1:].sum()),
        "true_and_marked": int(table[1:, 1:].sum()),
        **{name: round(float(one), 6) for name, one in zip(classes, dice, strict=True)},
    }


def tell(rows: Sequence[Row], truth: Truth) -> None:
    """Says how well the masks were met: over pictures, and over patients or folders."""
    known = [row for row in rows if "true_pixels" in row]
    if not known:
        return
    true, both, marked = (
        np.array([int(row[name]) for row in known])[:, None]
        for name in ("true_pixels", "true_and_marked", "pixels")
    )
    counts = Counts(both, marked - both, true - both, np.zeros_like(both))
    names, pooled = scores.by_group(counts, [row["volume"] for row in known])
    logging.info(
        "Dice %s, mean of %d pictures; %s, mean of %d patients or folders.",
        mean(np.array([row["dice"] for row in known], float)),
        len(known),
        mean(overlap.dice(pooled, empty=truth.empty)),
        len(names),
    )
    tell_contaminated(truth)


def tell_contaminated(truth: Truth) -> None:
    if truth.note:
        logging.warning("%s: this Dice says nothing of new patients.", truth.note)


def mean(scores: np.ndarray) -> str:
    """Of those that are defined: two empty masks may have none."""
    known = scores[~np.isnan(scores)]
    return f"{known.mean():.3f}" if known.size else "not defined"


def _by_name(
    folder: pathlib.Path, pictures: Collection[pathlib.Path]
) -> dict[str, list[pathlib.Path]]:
    """Every file that may be a mask, by the picture's name that its own says."""
    found = collections.defaultdict(list)
    for path in sorted(folder.rglob("*")):
        named = path.suffix.lower() in ENDINGS and path.absolute() not in pictures
        if named and path.is_file():
            found[path.stem.removesuffix(SUFFIX)].append(path)
    return found


def mask_of(
    own: pathlib.Path, masks: Sequence[pathlib.Path], *, lone: bool
) -> pathlib.Path | None:
    """The one in a folder of a file's own; in any other of a name that does not repeat."""
    near = [path for path in masks if path.parent.name == own.parent.name]
    told = near or (masks if lone else [])
    if len(told) > 1:
        raise ValueError(
            f"{told[0]} and {told[1]} may both be the mask of {own}. Name a narrower "
            "--truth, in which each input has one."
        )
    return told[0] if told else None


def _trained_on(pictures: Sequence[pathlib.Path], about: About) -> str:
    """What has to be said where folders or names are those of patients trained on."""
    names = {
        name
        for path in pictures
        for name in (path.absolute().parent.name, *_beginnings(path.stem))
    }
    trained = leakage.known(names, about.trained_patients)
    return f"CONTAMINATED: {len(trained)} patients were trained on" if trained else ""


def _beginnings(stem: str) -> list[str]:
    """All of a file's name, and what comes before each of its marks: P1 of P1_flair-07."""
    return [stem, *(stem[: mark.start()] for mark in re.finditer(r"[-_. ]", stem))]
