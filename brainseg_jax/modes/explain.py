"""Grad-CAM: where in slices or volumes a model finds what speaks for its decision."""

import functools
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import image_files
from brainseg_jax.inference import heat_maps
from brainseg_jax.metrics import resampling
from brainseg_jax.reports.parts import example_panels, intervals
from brainseg_jax.reports.parts.panels import Panel, draw_panels
from brainseg_jax.runs import (
    explaining,
    heat_pictures,
    notes,
    out_of_fold,
    output_folder,
    precision,
    queries,
    scored_splits,
)
from brainseg_jax.runs.explaining import Explain, Explained
from brainseg_jax.runs.queries import Asked, Query

PATIENTS = 12  # on the page of examples
Row = dict[str, Any]


class Example(NamedTuple):
    """What the page of examples may show of a patient."""

    marked: int  # pixels of tumour
    panels: list[Panel]


def run(request: Any) -> None:
    """--mode=explain: files with --inputs, else a split; by the checkpoint's own config."""
    request.refuse_overrides()
    flags = request.flags
    explain(
        request.workdir,
        flags.inputs,
        request.outputs,
        split=flags.split,
        data_name=flags.data_name,
        data_dir=flags.data_dir,
    )


def explain(
    workdir: str,
    inputs: Sequence[str],
    outputs: str,
    *,
    split: str = "",
    data_name: str = "",
    data_dir: str = "",
) -> list[Row]:
    """Pictures of each explanation, explanations.csv and .json, and a page of examples.

    Without `inputs` a split is explained, the test split unless another is named; then
    truth is drawn, and how much of the heat lies in the tumour is measured. Of a
    cross-validation every patient is explained by the model that has not seen it.

    Raises:
        ValueError: if a split has other channels than the model was trained with, if files
            are not of the model's kind, or if `outputs` lies in the inputs.
        FileNotFoundError: if there are no files, no checkpoint or no prepared data.
        UnreadableImage: at the end, if files cannot be read.
    """
    inputs = image_files.expand(inputs)
    folder = output_folder.check(inputs, outputs)
    if not inputs and scored_splits.is_by_fold(workdir, split, data_name):
        opened = _open_folds(workdir, data_dir)
    else:
        opened = _open(workdir, inputs, split, data_name, data_dir)
    asked = opened.asked
    shown = track(asked.queries, "explaining", total=asked.total, transient=True)
    rows, examples = _explain_all(opened.explain, shown, folder)
    _write(rows, examples, folder, opened.note, opened.model)
    output_folder.refuse_unreadable(asked.failed, asked.total, folder)
    return rows


class Opened(NamedTuple):
    """What is explained, by which models, and what has to be said of it."""

    explain: Explain
    asked: Asked
    note: str
    model: str


def _open(
    workdir: str, inputs: Sequence[str], split: str, data_name: str, data_dir: str
) -> Opened:
    """A run or several as one, asked of files, or of a split."""
    restored = queries.restore(workdir)
    about = restored.record.about
    explain, model = explaining.make_explain(restored), about.config["model"]["name"]
    if inputs:
        return Opened(explain, queries.of_inputs(about, inputs), about.note, model)
    split = split or scored_splits.default_split(about)
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    asked = Asked(queries.of_split(source), len(source), {})
    note = notes.of_runs(workdir, restored.record, source, split)
    return Opened(explain, asked, note, model)


def _open_folds(workdir: str, data_dir: str) -> Opened:
    """All test folds of a cross-validation, each patient asked of its own model."""
    folds, whole = scored_splits.open_folds(workdir, data_dir=data_dir)
    about = out_of_fold.joined([fold.restored.record.about for fold in folds])
    precision.set_precision(about.config)
    number = out_of_fold.numbers_of(folds)
    explain_by = functools.cache(
        lambda place: explaining.make_explain(folds[place].restored)
    )

    def explain(query: Query) -> list[Explained]:
        return explain_by(number[query.patient])(query)

    asked = Asked(queries.of_split(whole), len(whole), {})
    note = notes.of_folds(folds)
    return Opened(explain, asked, note, about.config["model"]["name"])


def _explain_all(
    explain: Explain, asked: Iterable[Query], folder: pathlib.Path
) -> tuple[list[Row], dict[str, Example]]:
    """Rows of all, and of a few patients what the page may show of them."""
    rows: list[Row] = []
    examples: dict[str, Example] = {}
    for query in asked:
        marked = 0 if query.truth is None else int((query.truth > 0).sum())
        panels: list[Panel] = []
        for found in explain(query):
            stem = folder / f"{query.name}_{_as_file(found.name)}"
            drawn = heat_pictures.write(stem, query, found)
            rows.append(_row(query, found) | drawn.row)
            if not panels:
                shown = np.ascontiguousarray(query.image[drawn.plane])
                said = f"{query.name}\n{query.label}".strip()
                panels.append(Panel(example_panels.scan(shown), said))
            panels.append(Panel(drawn.picture, f"what speaks for\n{found.name}"))
        kept = examples.get(query.patient)
        room = len(examples) < PATIENTS if kept is None else marked > kept.marked
        if room and panels:
            examples[query.patient] = Example(marked, panels)
    return rows, examples


def _as_file(name: str) -> str:
    """A class as part of a file's name."""
    return name.replace(" ", "_").replace("/", "_")


def _row(query: Query, found: Explained) -> Row:
    row: Row = {"slice": query.said, "patient": query.patient, "explained": found.name}
    if found.agreement is not None:
        row["agreement"] = round(found.agreement, 4)
    if query.truth is None:
        return row
    share, chance, truth = np.nan, np.nan, query.truth[..., 0] > 0
    if truth.any():
        share = heat_maps.share_within(found.heat, truth)
        chance = heat_maps.share_by_chance(query.image, truth)
    return {
        **row,
        "class": query.label,
        "share_in_tumour": round(share, 4),
        "share_by_chance": round(chance, 4),
    }


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Of those with tumour, by what is explained: heat in the tumour, and by chance."""
    measured = [row for row in rows if row.get("share_in_tumour", np.nan) >= 0]
    found = []
    for name in dict.fromkeys(row["explained"] for row in measured):
        own = [row for row in measured if row["explained"] == name]
        patients = [row["patient"] for row in own]
        share, chance = (
            np.array([row[key] for row in own])
            for key in ("share_in_tumour", "share_by_chance")
        )
        gain = resampling.mean_with_interval(share - chance, patients)
        found.append(
            {
                "explained": name,
                "slices_with_tumour": len(own),
                "patients": len({*patients}),
                "share_in_tumour": float(share.mean()),
                "share_by_chance": float(chance.mean()),
                **dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True)),
            }
        )
    return found


def _write(
    rows: Sequence[Row],
    examples: dict[str, Example],
    folder: pathlib.Path,
    note: str,
    model: str,
) -> None:
    """The tables and the page; what was measured goes to the log, too."""
    summary = summarise(rows)
    files.write_csv(
        folder / "explanations.csv", [{**row, "note": note} for row in rows]
    )
    told = {"note": note, "summary": summary, "explanations": rows}
    files.write_json(folder / "explanations.json", told)
    if examples:
        panels = [panel for one in examples.values() for panel in one.panels[:2]]
        draw_panels(
            panels,
            4,
            folder / "examples.png",
            together=2,
            title=f"Grad-CAM of {model}: the warmer, the more it speaks for the class",
            note=note,
        )
    for one in summary:
        logging.info(
            "%s: %.3f of the heat lies in the tumour, %.3f by chance, more by %s; slices "
            "with tumour: %d, patients: %d.",
            *(one[key] for key in ("explained", "share_in_tumour", "share_by_chance")),
            intervals.with_interval(one, "gain"),
            *(one[key] for key in ("slices_with_tumour", "patients")),
        )
    logging.info("%d explanations in %s. Not for diagnosis.", len(rows), folder)
