"""Two stages on image files: classes of all, masks of those called tumour, one table.

Each stage writes its own tables while results come, by which a second run goes on.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from brainseg_jax.metrics import decisions
from brainseg_jax.runs import familiarity, pictures, precision, results
from brainseg_jax.runs.two_stages import Pair, Stage

Row = dict[str, Any]
CLASSES, MASKS = "classes", "masks"  # folders of the two stages
COLUMNS = {
    "file": "what was predicted",
    "volume": "the patient or folder that it was normalised with",
    "has_tumour": "whether both stages say so: it is called tumour, and more than "
    "`--least_area` pixels of it are marked",
    "called": "whether the classifier calls it tumour, so that it was segmented",
    "probability": "of a tumour, by the classifier at its card's temperature",
    "mask": "the mask's file; empty where the segmenter was spared",
    "pixels": "how many are marked; 0 where the segmenter was spared",
    "fault": "why it could not be predicted",
}
# Of the segmenter's row, as predict has them.
FROM_MASKS = (
    "share",
    "area_mm2",
    "lesions",
    "boxes",
    "centroid",
    "side",
    "post_processed",
)


class Written(NamedTuple):
    rows: list[Row]
    failed: Mapping[str, str]  # files, with the reason


def predict(
    pair: Pair,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
    *,
    least_area: int,
    also: Sequence[str] = (),
) -> Written:
    """Writes both stages' tables, the masks, and predictions.csv and .json of all.

    A volume that is unlike the training images, as either net sees them, is warned of.

    Raises:
        ValueError: if two inputs would be written under one name.
    """
    failed: dict[str, str] = {}
    own = results.made_by(pair.classifier.restored, pair.classifier.card)
    classes = _run(
        pair.classifier, "the classifier", found, outputs / CLASSES, own, failed
    )
    positive = pair.classifier.restored.parts.task.classes[1]
    called = [path for path in found if _class_of(classes.get(str(path))) == positive]
    logging.info("%d of %d images are called %s.", len(called), len(found), positive)
    readable = [path for path in found if str(path) in classes]
    other = results.made_by(pair.segmenter.restored, pair.segmenter.card, also)
    # What the first stage calls decides which slices are mended together.
    other |= {"called_by": own["weights_sha256"]}
    masks = _run(
        pair.segmenter,
        "the segmenter",
        readable,
        outputs / MASKS,
        other,
        failed,
        called,
        also,
    )
    column = f"probability_{decisions.key_of(positive)}"
    rows = [
        join(classes[str(path)], masks.get(str(path)), column, positive, least_area)
        for path in readable
        if str(path) not in failed
    ]
    faults = [{"file": file, "fault": reason} for file, reason in failed.items()]
    results.write(outputs, [*rows, *faults])
    return Written(rows, failed)


def join(
    of_class: Row, of_mask: Row | None, column: str, positive: str, least_area: int
) -> Row:
    """One row of both stages'; `of_mask` is None where the segmenter was spared.

    `column` of the classifier's row has the probability of its class `positive`.
    """
    pixels = of_mask["pixels"] if of_mask else 0
    called = of_class["class"] == positive
    told = [row for row in (of_class, of_mask) if row]
    return {
        "file": of_class["file"],
        "volume": of_class["volume"],
        "has_tumour": called and pixels > least_area,
        "called": called,
        "probability": of_class[column],
        "mask": f"{MASKS}/{of_mask['mask']}" if of_mask else "",
        "pixels": pixels,
        **{name: of_mask[name] for name in FROM_MASKS if of_mask and name in of_mask},
        "warnings": _once(row["warnings"] for row in told),
        "note": _once(row["note"] for row in told),
    }


def _run(
    stage: Stage,
    name: str,
    found: Sequence[pathlib.Path],
    folder: pathlib.Path,
    made_by: Row,
    failed: dict[str, str],
    wanted: Sequence[pathlib.Path] | None = None,
    also: Sequence[str] = (),
) -> dict[str, Row]:
    """Rows of one stage by file; `failed` gets what could not be read."""
    precision.set_precision(stage.about.config)
    unlike, measured = familiarity.judge_of(stage.workdir, stage.restored, name)
    with results.Results(folder, made_by | measured) as written:
        rows = pictures.predict(
            stage.restored,
            found,
            folder,
            written,
            stage.card,
            also,
            wanted=wanted,
            unlike=unlike,
        )
    failed.update(written.failed)
    return {row["file"]: row for row in rows}


def _class_of(row: Row | None) -> str:
    return row["class"] if row else ""


def _once(parts: Any) -> str:
    """Each of some texts' parts, which `; ` parts, said once."""
    every = (one for text in parts for one in str(text).split("; ") if one)
    return "; ".join(dict.fromkeys(every))
