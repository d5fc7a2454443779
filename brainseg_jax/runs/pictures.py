"""Predictions of pictures, many at a time: masks, overlays, places, classes."""

import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging
from rich.progress import track

from brainseg_jax.data import (
    image_files,
    neighbours,
    normalise,
    pictures,
    profiles,
)
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.pictures import Picture
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import mending, pages, picture_outputs
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.output_names import output_names
from brainseg_jax.runs.picture_outputs import LONE, Example, Request
from brainseg_jax.runs.predictor import Batched, make_batched
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored
from brainseg_jax.runs.results import Results
from brainseg_jax.runs.truth import Truth

ALONE = "seen without the slices next to it"
FAR = "seen with slices farther off, since those next to it are missing"
KEPT = 512  # pictures of a volume that are kept between normalising and predicting it
Row = dict[str, Any]
# A volume's images and their four numbers per channel -> what is doubtful, in words.
Unlike = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], tuple[str, ...]]
Predicted = tuple[Example, Any, Any]  # with probabilities and labels, [1, ...] each


def predict(
    restored: Restored,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
    results: Results,
    card: Card | None = None,
    also: Collection[str] = (),
    *,
    wanted: Collection[pathlib.Path] | None = None,
    truth: Truth | None = None,
    unlike: Unlike | None = None,
) -> list[Row]:
    """Writes what each picture's prediction is, as it comes; gives the rows of all.

    Volumes that `results` has already are left out. A file that cannot be read is told to
    `results`, and its volume is predicted without it. `card` has the rules and the
    temperature that predictions are mended by, a volume's masks together. Where `wanted`
    are given, they alone are predicted, normalised with all that are found. Masks are
    compared with their `truth`. `unlike` says what of a volume is unlike the training
    images, beside what their profile tells.

    Raises:
        ValueError: if two inputs would be written under one name.
    """
    about = restored.record.about
    names = output_names(found)
    asked = {*found} if wanted is None else {*wanted}
    asked_for = [path for path in found if path in asked]
    left = _left(found, asked, results)
    count = sum(path in asked for paths in left.values() for path in paths)
    if skipped := len(asked_for) - count:
        logging.info("%d of %d images are predicted already.", skipped, len(asked_for))
    if not left:
        return results.rows(asked_for)
    batched = make_batched(restored, count)
    labels = about.info.names_of_labels
    task, temperature = restored.parts.task, card.temperature if card else None
    rules = card.rules if card else Rules()
    mends = rules != Rules()
    note = "; ".join(filter(None, (about.note, truth.note if truth else "")))
    request = Request(
        task, outputs, names, note, also, labels, temperature, mends, truth
    )
    examples = (
        example
        for volume, paths in left.items()
        for example in of_volume(
            volume, paths, about, results.fail, asked=asked, unlike=unlike
        )
    )
    with pages.Pages(outputs, about.note) as drawn:
        drawing = "pages" in also and task.uses_masks
        predicted = _predicted(batched, examples, count)
        if mends:
            predicted = _mended(predicted, rules, "probabilities" in also)
        _write_all(predicted, request, results, drawn.add if drawing else None)
    return results.rows(asked_for)


def _left(
    found: Sequence[pathlib.Path], asked: Collection[pathlib.Path], results: Results
) -> dict[str, list[pathlib.Path]]:
    """The volumes of which a picture that is `asked` for has no result yet."""
    return {
        volume: paths
        for volume, paths in image_files.group_volumes(found).items()
        if not all(results.has(path) for path in paths if path in asked)
    }


def _write_all(
    predicted: Iterator[Predicted],
    request: Request,
    results: Results,
    add: Callable[[Example, np.ndarray], None] | None,
) -> None:
    for example, probs, labels in predicted:
        try:
            row = picture_outputs.write(example, probs, labels, request)
        except UnreadableImage as error:
            results.fail(example.path, str(error))
            continue
        results.add(example.path, row)
        if add:
            add(example, picture_outputs.mask_of(labels))


def _mended(
    predicted: Iterator[Predicted], rules: Rules, keep_probs: bool
) -> Iterator[Predicted]:
    """A volume's masks by rules that are of all its slices."""
    for _, members in itertools.groupby(predicted, key=lambda one: one[0].volume):
        own = [
            (example, probs if keep_probs else None, np.asarray(labels)[0])
            for example, probs, labels in members
        ]
        masks = mending.mend(_by_place(own), rules)
        for example, probs, _ in own:
            yield example, probs, masks[example.place][None]


def _by_place(own: Sequence[Predicted]) -> list[mending.Labels]:
    """A mask of every slice of a volume, empty of those that nobody asked for."""
    first, _, like = own[0]
    masks = [np.zeros_like(like)] * first.slices
    for example, _, labels in own:
        masks[example.place] = labels
    return masks


def _predicted(
    batched: Batched, examples: Iterator[Example], count: int
) -> Iterator[Predicted]:
    """Batch by batch, with a bar, and how long it will take once a batch was timed."""
    batches = _batches(examples, batched.size)
    total = -(-count // batched.size)
    shown = track(batches, "predicting", total=total, transient=True)
    start = time.monotonic()
    for number, batch in enumerate(shown):
        found = batched.predict(
            [one.seen for one in batch], [one.scaling for one in batch]
        )
        for example, (probs, labels) in zip(batch, found, strict=True):
            yield example, probs, labels
        if number == 0:  # it was compiled, too
            start = time.monotonic()
        if number == 1 and total > 2:
            seconds = time.monotonic() - start
            logging.info(
                "%.1f images/s: about %.0f s more for %d images.",
                len(batch) / seconds,
                seconds * (total - 2),
                count - 2 * batched.size,
            )


def _batches(examples: Iterator[Example], size: int) -> Iterator[list[Example]]:
    while batch := list(itertools.islice(examples, size)):
        yield batch


def of_volume(
    volume: str,
    paths: Sequence[pathlib.Path],
    about: About,
    fail: Callable[[pathlib.Path, str], None],
    *,
    asked: Collection[pathlib.Path],
    unlike: Unlike | None = None,
) -> Iterator[Example]:
    """The readable pictures of a volume, normalised together; few are in memory.

    All of them are read, but only those that are `asked` for given. `fail` is told of
    those that cannot be; `unlike` says what else makes predictions doubtful.
    """
    info, options = about.info, about.config["data"]["normalisation"]
    kept: dict[pathlib.Path, Picture] = {}
    readable, by_image = [], []
    for path in paths:
        try:
            picture = pictures.read(path, info)
        except UnreadableImage as error:
            logging.warning("Left out: %s", error)
            fail(path, str(error))
            continue
        readable.append(path)
        by_image.append(normalise.statistics([picture.image], [volume]))
        if len(kept) < KEPT:
            kept[path] = picture
    if not readable:
        return
    scaling = normalise.scaling(normalise.pooled(by_image), **options)
    together = options["name"].startswith("volume")
    _tell_volume(volume, readable, together)
    warnings = _warnings(volume, kept.values(), together and len(readable) == 1, about)
    reach = about.config["data"]["neighbours"]
    if reach and len(readable) == 1:
        warnings = (*warnings, ALONE)
    read = functools.lru_cache(maxsize=2 * reach + 1)(
        lambda place: kept.get(readable[place]) or pictures.read(readable[place], info)
    )
    beside = neighbours.together([volume] * len(readable), reach)
    lacking = neighbours.lacking([*map(image_files.number_of, readable)], reach)
    scaling = neighbours.join_scaling(scaling, beside)

    def seen(place: int) -> np.ndarray:
        return neighbours.join([read(int(k)).image for k in beside[place]])

    if unlike:
        images = [*map(seen, range(len(kept)))]
        for one in (found := unlike(images, [*scaling[: len(images)]])):
            logging.warning("%s is %s.", volume, one)
        warnings += found
    for place, (path, numbers) in enumerate(zip(readable, scaling, strict=True)):
        if path not in asked:
            continue
        picture, own = read(place), seen(place)
        doubts = (*warnings, *((FAR,) if lacking[place] else ()))
        told, count = (*doubts, *picture.warnings), len(readable)
        yield Example(path, picture, own, numbers, volume, count, told, together, place)


def _tell_volume(volume: str, paths: Sequence[pathlib.Path], together: bool) -> None:
    """Says what is normalised together; files may be of several patients, as P001, P002."""
    if not together:
        return
    if len(paths) == 1:
        logging.warning(
            "%s: a lone slice, normalised by its own intensities; give all slices of "
            "the patient for better predictions, named <patient>_<number> or in a folder "
            "of their own.",
            paths[0],
        )
        return
    logging.info("%s: %d slices, normalised as one volume.", volume, len(paths))
    folder = paths[0].absolute().parent.name
    if not all(path.stem.startswith(folder) for path in paths):
        logging.warning(
            "%s: %d images are taken for the slices of one patient. If they are of "
            "several, put each patient's into a folder of their own.",
            volume,
            len(paths),
        )


def _warnings(
    volume: str, kept: Collection[Picture], lone: bool, about: About
) -> tuple[str, ...]:
    """What makes a volume's predictions doubtful."""
    found = [LONE] if lone else []
    if all((one.image == one.image[0, 0]).all() for one in kept):
        logging.warning("%s is of one colour: its prediction means nothing.", volume)
        found.append("of one colour")
    if known := about.data.get("profile"):
        unlike = profiles.unlike([one.image for one in kept], known)
        for one in unlike:
            logging.warning("%s is %s.", volume, one)
        found += unlike
    return tuple(found)
