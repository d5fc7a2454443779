"""What is written of a predicted picture: mask, overlay, contours, and its row."""

import io
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from brainseg_jax import files
from brainseg_jax.data import image_files, pictures
from brainseg_jax.data.pictures import Picture
from brainseg_jax.inference import localise, outlines
from brainseg_jax.metrics import calibration, decisions
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.runs import mending, truth
from brainseg_jax.runs.truth import Truth
from brainseg_jax.tasks.parts.task import Task

COLOUR = (0, 255, 0)
ALSO = ("pages", "contours", "probabilities")  # what else may be asked for
LONE = "a lone slice, normalised by itself"
Row = dict[str, Any]


class Example(NamedTuple):
    """A picture with what it was normalised by."""

    path: pathlib.Path
    picture: Picture
    seen: np.ndarray  # the image as the model sees it, with the slices next to it
    scaling: np.ndarray  # [4, d]
    volume: str
    slices: int  # of its volume
    warnings: tuple[str, ...]
    together: bool = True  # normalised so, else each by itself
    place: int = 0  # in its volume


class Request(NamedTuple):
    """What is written of each picture, and where."""

    task: Task
    outputs: pathlib.Path
    names: Mapping[pathlib.Path, str]  # of the outputs, without what follows
    note: str
    also: Collection[str]
    labels: Mapping[int, str]  # of masks, what they stand for
    temperature: float | None = None  # of classes, or of masks' probabilities
    post_processed: bool = False
    truth: Truth | None = None


def write(example: Example, probs: Any, labels: Any, request: Request) -> Row:
    """The files of one picture, and its row."""
    return {
        "file": str(example.path),
        "volume": example.volume,
        **WRITERS[request.task.name](example, request, probs, labels),
        "normalised_by": _normalised_by(example),
        "warnings": "; ".join(example.warnings),
        "note": request.note,
    }


def _normalised_by(example: Example) -> str:
    if LONE in example.warnings:
        return "lone slice"
    count = example.slices if example.together else 1
    return f"{count} slice" if count == 1 else f"{count} slices"


def mask_of(labels: Any) -> np.ndarray:
    """Of one picture, by a net with two heads too."""
    found = labels.mask if isinstance(labels, Heads) else labels
    return np.asarray(found)[0, ..., 0]


def _write_mask(example: Example, request: Request, probs: Any, labels: Any) -> Row:
    picture, mask = example.picture, mask_of(labels)
    true = _truth_of(example, request)  # first: if it is damaged, nothing is written
    stem = request.outputs / request.names[example.path]
    path = pictures.write_mask(example.path, stem, mask, picture, request.labels)
    painted = image_files.overlay(
        image_files.display(image_files.as_8_bits(picture.image)),
        mask > 0,
        COLOUR,
        opacity=0.4,
    )
    image_files.write_png(stem.with_name(f"{stem.name}_overlay.png"), painted)
    found = localise.lesions(
        mask,
        picture.spacing,
        middle=localise.middle_of_head(picture.image),
        sides=picture.sides or localise.OF_PICTURE,
    )
    if "contours" in request.also or true is not None:
        outlines.write(stem, picture.image, mask, found, true)
    if "probabilities" in request.also:
        maps = _at_temperature(np.asarray(probs), request)
        _write_probabilities(stem, maps[0], request.task)
    marked = mask > 0
    return {
        "mask": path.name,
        "pixels": int(marked.sum()),
        "share": round(float(marked.mean()), 6),
        "post_processed": request.post_processed,
        **localise.area(marked, picture.spacing),
        **_compared(mask, true, request.truth),
        **localise.summary(found),
        "each_lesion": found,
    }


def _truth_of(example: Example, request: Request) -> np.ndarray | None:
    """The true labels of a picture, where they are known."""
    if request.truth is None or example.path not in request.truth.masks:
        return None
    shape = example.picture.image.shape[:2]
    return truth.read(request.truth.masks[example.path], shape)


def _compared(mask: np.ndarray, true: np.ndarray | None, known: Truth | None) -> Row:
    if true is None or known is None:
        return {}
    return truth.compare(mask, true, known)


def _write_class(example: Example, request: Request, probs: Any, labels: Any) -> Row:
    """Nothing but the row."""
    return _class_of(request.task, _at_temperature(probs, request), labels)


def _at_temperature(probs: Any, request: Request) -> Any:
    """Probabilities as the card has them, more or less sure than the net's."""
    if request.temperature is None:
        return probs
    task = request.task
    exclusive = task.exclusive if task.uses_masks else mending.is_exclusive(task)
    return calibration.with_temperature(probs, request.temperature, exclusive=exclusive)


def _class_of(task: Task, probs: Any, labels: Any) -> Row:
    columns = decisions.probability_columns(task.classes, np.asarray(probs)[0])
    return {"class": task.classes[int(labels[0])], **columns}


def _write_both(example: Example, request: Request, probs: Heads, labels: Heads) -> Row:
    """The mask's files, and a row of both heads."""
    assert (heads := request.task.heads) is not None
    of_mask = request._replace(task=heads.mask)
    return {
        **_class_of(heads.label, probs.label, labels.label),
        **_write_mask(example, of_mask, probs.mask, labels.mask),
    }


WRITERS: dict[str, Callable[..., Row]] = {
    "segmentation": _write_mask,
    "classification": _write_class,
    "segmentation_and_classification": _write_both,
}


def _write_probabilities(stem: pathlib.Path, probs: np.ndarray, task: Task) -> None:
    """An array for each map by its class, half precision; of others by their number."""
    names = {
        len(task.classes): list(task.classes),
        len(task.classes) + 1: ["background", *task.classes],
    }
    count = probs.shape[-1]
    maps = zip(
        names.get(count, list(map(str, range(count)))), range(count), strict=True
    )
    arrays: dict[str, Any] = {
        name: probs[..., k].astype(np.float16) for name, k in maps
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    path = stem.with_name(f"{stem.name}_probabilities.npz")
    files.write_atomically(path, content.getvalue())
