"""How patients' scores spread: n, mean, standard deviation, median, 95 % interval.

By score, by class, and by the institution that scanned, from the rows of patients.csv.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.table import Table

from brainseg_jax.metrics import mask_shapes, resampling
from brainseg_jax.metrics.segmentation import bootstrap_interval
from brainseg_jax.reports.parts import patient_bars
from brainseg_jax.reports.parts.patient_scores import OF_MASKS, as_number

Row = dict[str, Any]
OF_CLASSES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "ROC-AUC",
    "average_precision": "average precision",
    "f1": "F1, mean over classes",
}
RESAMPLES = 10_000
HOW = ("empty_masks", "convention", "tolerance", "unit", mask_shapes.OF_PATIENT)
# Of whom the scores of a row are; classes and institutions by their own names.
ALL, MEAN = "all", "mean over classes"


def rows_of(rows: Sequence[Row], institutions: Mapping[str, str]) -> list[Row]:
    """A row per score, class and institution, those of all patients first.

    `rows` are of patients.csv. With several classes there is also the mean over those
    that a patient has a score of.
    """
    columns = OF_MASKS if "dice" in rows[0] else OF_CLASSES
    table = []
    for place, members in _groups(rows, institutions).items():
        for name in columns:
            if name not in rows[0]:
                continue
            for of_class, values in _by_class(rows, name, members).items():
                table.append(
                    {"score": name, "class": of_class, "institution": place}
                    | spread(values, _interval(name, values))
                    | {key: rows[0][key] for key in HOW if key in rows[0]}
                )
    return table


def spread(values: Float[np.ndarray, " n"], interval: tuple[float, float]) -> Row:
    """Of what is not nan; one patient has no interval and no deviation."""
    known = values[~np.isnan(values)]
    low, high = interval
    several = len(known) > 1
    return {
        "n": len(known),
        "mean": float(known.mean()) if len(known) else math.nan,
        "std": float(known.std(ddof=1)) if several else math.nan,
        "median": float(np.median(known)) if len(known) else math.nan,
        "low": low,
        "high": high,
    }


def _interval(name: str, values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """By the draws that summary.json has it by, so that no report gives two of a score."""
    if name in ("dice", *OF_CLASSES):
        return bootstrap_interval(values)
    drawn = resampling.draws(len(values), resamples=RESAMPLES, seed=0)
    means = resampling.drawn_means(values, np.arange(len(values)), drawn)
    return resampling.interval(means)


def in_words(rows: Sequence[Row], said: Mapping[str, Any], note: str) -> Table:
    """What a reader sees: scores over all patients, then Dice by institution."""
    title = "\n".join(filter(None, ("Over patients", note)))
    table = Table(title=title, caption=caption(rows, said))
    table.add_column("score")
    for column in ("n", "mean", "deviation", "median", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    first, several = rows[0]["score"], len({row["class"] for row in rows}) > 1
    for row in rows:
        if row["institution"] == ALL or row["score"] == first:
            table.add_row(_name(row, said, several), str(row["n"]), *_numbers(row))
    return table


def of_shapes(rows: Sequence[Row], said: str) -> dict[str, str]:
    """Means of distances and lesions over all patients and classes, in a line each."""
    first = rows[0]["class"]  # the mean over classes, or the only one
    shapes = (*mask_shapes.DISTANCES, *mask_shapes.LESIONS)
    found = {}
    for row in rows:
        if row["score"] in shapes and (row["institution"], row["class"]) == (
            ALL,
            first,
        ):
            mean, _, _, between = _numbers(row)
            name = f"{_name(row, {'surface_distances': row}, several=False)} {said}"
            found[name] = f"{mean} ({between})" if between else mean
    return found


def caption(rows: Sequence[Row], said: Mapping[str, Any]) -> str:
    """By which conventions and policies these scores, of masks or of classes, are so.

    Of two heads `said` has those of both.
    """
    if not any(row["score"] in OF_MASKS for row in rows):
        undefined = said.get("undefined")
        return f"undefined scores: {undefined}, left out" if undefined else ""
    parts = []
    if "empty_masks" in said:
        parts.append(f"empty masks: {said['empty_masks']}")
    if distances := said.get("surface_distances"):
        of = distances["of_patient"]
        parts.append(f"surface distances: {distances['convention']}, {of}")
        parts.append(f"tolerance: {distances['tolerance']:g} {distances['unit']}")
    return "; ".join(parts)


def _groups(
    rows: Sequence[Row], institutions: Mapping[str, str]
) -> dict[str, dict[str, None]]:
    """Patients of all, and of each institution, in the order of its name."""
    patients = dict.fromkeys(row["patient"] for row in rows)
    groups = {ALL: patients}
    for place in sorted({*institutions.values()}):
        groups[place] = {
            one: None for one in patients if institutions.get(one) == place
        }
    return {place: members for place, members in groups.items() if members}


def _by_class(
    rows: Sequence[Row], name: str, members: Mapping[str, None]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Values of a score by class; "" where rows are of no class."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["patient"] in members:
            own = found.setdefault(row.get("class", ""), [])
            own.append(as_number(row[name]))
    values = {one: np.array(own) for one, own in found.items()}
    if len(values) == 1:
        return values
    each = np.stack(list(values.values()), -1)
    return {MEAN: patient_bars.mean_of_each(each), **values}


def _name(row: Row, said: Mapping[str, Any], several: bool) -> str:
    """The class where there are `several`."""
    words = (OF_MASKS | OF_CLASSES)[row["score"]]
    unit = said.get("surface_distances", {}).get("unit", "")
    if row["score"] in ("hd95", "assd"):
        words += f" ({unit})"
    parts = [words, row["class"] if several else ""]
    if row["institution"] != ALL:
        parts.append(f"institution {row['institution']}")
    return ", ".join(filter(None, parts))


def _numbers(row: Row) -> tuple[str, ...]:
    mean, deviation, median, low, high = (
        row[name] for name in ("mean", "std", "median", "low", "high")
    )
    if math.isnan(mean):
        return ("not defined", "", "", "")
    between = "one patient" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
    return (
        f"{mean:.3f}",
        "" if math.isnan(deviation) else f"{deviation:.3f}",
        f"{median:.3f}",
        between,
    )
