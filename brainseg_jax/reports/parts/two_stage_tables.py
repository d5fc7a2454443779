"""Tables of two stages beside the segmenter alone: by slice, by patient, all together."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import confusions, two_stages
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.two_stages import ALONE, TOGETHER, Staged

Row = dict[str, Any]
HEADINGS = {
    "classifier": "Classifier",
    ALONE: "Segmenter alone",
    TOGETHER: "Two stages",
}
KINDS = ("no tumour", "tumour")
SLICES = {
    "key": "the slice's name in the data set",
    "patient": "whose it is",
    "slice": "its number",
    "tumour": "whether there is any, by the mask",
    "probability": "of a tumour, by the classifier, at its card's temperature",
    "classifier": "whether the classifier calls it tumour",
    "segmenter_alone": "whether the segmenter's mask does, by its area",
    "two_stages": "whether both do",
    "pixels_true": "of the true mask",
    "pixels_segmenter_alone": "of the segmenter's mask",
    "pixels_two_stages": "of the mask of the two stages: none where not called",
    "dice_segmenter_alone": "of the segmenter's mask",
    "dice_two_stages": "of the mask of the two stages",
}
PATIENTS = {
    "patient": "who",
    "slices": "how many there are",
    "slices_tumour": "of them with tumour",
    "slices_segmented": "that the classifier calls tumour: the segmenter sees them",
    "slices_spared": "all others",
    "dice_segmenter_alone": "of the whole patient",
    "dice_two_stages": "the same of the two stages",
    "<way>_false_positives": "slices without tumour that are called so, by each way: "
    "`classifier`, `segmenter_alone`, `two_stages`",
    "<way>_false_negatives": "slices with tumour that are not",
}


def by_slice(
    staged: Staged, source: Source, *, empty: str, least_area: int
) -> list[Row]:
    """A row per slice, with the columns SLICES."""
    found = two_stages.verdicts(staged, least_area)
    dice = _dice_of_both(staged, empty)
    return [
        {
            "key": source.keys[i],
            "patient": source.patients[i],
            "slice": source.slices[i],
            "tumour": bool(staged.tumour[i]),
            "probability": round(float(staged.probability[i]), 6),
            **{name: bool(verdict[i]) for name, verdict in found.items()},
            "pixels_true": int(staged.marked_true[i]),
            f"pixels_{ALONE}": int(staged.marked_alone[i]),
            f"pixels_{TOGETHER}": int(staged.marked_together[i]),
            **{f"dice_{way}": round(float(own[i]), 6) for way, own in dice.items()},
        }
        for i in range(len(source))
    ]


def by_patient(
    staged: Staged, source: Source, *, empty: str, least_area: int
) -> list[Row]:
    """A row per patient, with the columns PATIENTS."""
    owner = np.array(source.patients)
    names, _ = scores.by_group(staged.alone, source.patients)
    dice = dice_of_patients(staged, source, empty)
    wrong = {
        way: two_stages.wrong_by_patient(staged.tumour, found, source.patients)
        for way, found in two_stages.verdicts(staged, least_area).items()
    }
    rows = []
    for place, name in enumerate(names):
        own = owner == name
        row = {
            "patient": name,
            "slices": int(own.sum()),
            "slices_tumour": int(staged.tumour[own].sum()),
            "slices_segmented": int(staged.called[own].sum()),
            "slices_spared": int((~staged.called[own]).sum()),
        }
        row |= {f"dice_{way}": round(float(v[place]), 6) for way, v in dice.items()}
        for way, by_name in wrong.items():
            false, missed = by_name[name]
            row |= {f"{way}_false_positives": false, f"{way}_false_negatives": missed}
        rows.append(row)
    return rows


def confusion_rows(matrices: Mapping[str, np.ndarray]) -> list[Row]:
    """A row for each way and truth, with how many slices got each verdict."""
    return [
        {
            "way": way,
            "truth": KINDS[truth],
            **{f"called {kind}": int(matrix[truth, k]) for k, kind in enumerate(KINDS)},
        }
        for way, matrix in matrices.items()
        for truth in range(2)
    ]


def summarise(
    staged: Staged,
    source: Source,
    classes: tuple[str, ...],
    *,
    empty: str,
    least_area: int,
) -> Row:
    """What summary.json says of the scores."""
    matrices = matrices_of(staged, least_area)
    return {
        "slices_segmented": int(staged.called.sum()),
        "slices_spared": int((~staged.called).sum()),
        "least_area_pixels": least_area,
        "scores": {
            way: scores.summarise(counts, source.patients, classes=classes, empty=empty)
            for way, counts in ((ALONE, staged.alone), (TOGETHER, staged.together))
        },
        "two_stages_minus_segmenter_alone": two_stages.differences(
            staged, source.patients, empty
        ),
        "has_tumour": {way: _verdict(matrix) for way, matrix in matrices.items()},
    }


def matrices_of(staged: Staged, least_area: int) -> dict[str, np.ndarray]:
    """The confusion matrix of each way."""
    found = two_stages.verdicts(staged, least_area)
    return {way: two_stages.confusion(staged.tumour, own) for way, own in found.items()}


def headline(summary: Row) -> tuple[dict[str, str], str]:
    """What is printed, and how it is to be read."""
    seen, spared = summary["slices_segmented"], summary["slices_spared"]
    rows = {"slices that the segmenter was spared": f"{spared} of {seen + spared}"}
    for score, name in (
        ("patient_dice", "Dice of patients"),
        ("slice_dice", "Dice of slices"),
        ("slice_dice_tumour", "Dice of slices with tumour"),
    ):
        alone, both = (summary["scores"][way][score] for way in (ALONE, TOGETHER))
        gain = summary["two_stages_minus_segmenter_alone"][score]
        rows |= {
            f"{name}, segmenter alone": f"{alone:.3f}",
            f"{name}, two stages": f"{both:.3f}",
            f"{name}, gained": _interval(gain),
        }
    for way, own in summary["has_tumour"].items():
        wrong = f"{own['false_positives']} false, {own['false_negatives']} missed"
        rows[f"tumour or not, {HEADINGS[way].lower()}"] = (
            f"{100 * own['accuracy']:.1f} % ({wrong})"
        )
    return rows, "Intervals are over patients; not for diagnosis."


def dice_of_patients(
    staged: Staged, source: Source, empty: str
) -> dict[str, np.ndarray]:
    """Of every patient, in order of appearance, without and with the first stage."""
    volumes = {
        way: scores.by_group(counts, source.patients)[1]
        for way, counts in ((ALONE, staged.alone), (TOGETHER, staged.together))
    }
    return {way: two_stages.dice_of(own, empty) for way, own in volumes.items()}


def _dice_of_both(staged: Staged, empty: str) -> dict[str, np.ndarray]:
    return {
        way: two_stages.dice_of(counts, empty)
        for way, counts in ((ALONE, staged.alone), (TOGETHER, staged.together))
    }


def _verdict(matrix: np.ndarray) -> Row:
    """Of a confusion matrix of two kinds."""
    specificity, sensitivity = confusions.recall(matrix)
    return {
        "accuracy": float(confusions.accuracy(matrix)),
        "balanced_accuracy": float(confusions.balanced_accuracy(matrix)),
        "sensitivity": float(sensitivity),
        "specificity": float(specificity),
        "false_positives": int(matrix[0, 1]),
        "false_negatives": int(matrix[1, 0]),
    }


def _interval(gain: Row) -> str:
    return f"{gain['difference']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
