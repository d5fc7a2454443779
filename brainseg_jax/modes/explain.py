"""Grad-CAM over slices: where a model finds what speaks for its class or its mask."""

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
from brainseg_jax.runs import explaining, notes, output_folder, queries, scored_splits
from brainseg_jax.runs.queries import Query

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
    """A picture of each explanation, explanations.csv and .json, and a page of examples.

    Without `inputs` the slices of a split are explained, the test split unless another is
    named; then truth is drawn, and how much of the heat lies in the tumour is measured.

    Raises:
        ValueError: if the model is not of whole slices, if a split has other channels than
            it was trained with, or if `outputs` lies in the inputs.
        FileNotFoundError: if there are no pictures, no checkpoint or no prepared data.
        UnreadableImage: at the end, if files cannot be read.
    """
    inputs = image_files.expand(inputs)
    folder = output_folder.check(inputs, outputs)
    restored = queries.restore_one(workdir, "explain")
    about = restored.record.about
    failed: dict[str, str] = {}
    if inputs:
        found = queries.find_pictures(inputs)
        note, total = about.note, len(found)
        asked = queries.of_files(about, found, failed)
    else:
        split = split or scored_splits.default_split(about)
        source = scored_splits.open_source(
            restored, split, data_name=data_name, data_dir=data_dir
        )
        note, total = notes.of_model(restored.record, source, split), len(source)
        asked = queries.of_split(source)
    shown = track(asked, "explaining", total=total, transient=True)
    rows, examples = _explain_all(explaining.make_explain(restored), shown, folder)
    _write(rows, examples, folder, note, about.config["model"]["name"])
    output_folder.refuse_unreadable(failed, total, folder)
    return rows


def _explain_all(
    explain: explaining.Explain, asked: Iterable[Query], folder: pathlib.Path
) -> tuple[list[Row], dict[str, Example]]:
    """Rows of all, and of a few patients what the page may show of them."""
    rows: list[Row] = []
    examples: dict[str, Example] = {}
    for query in asked:
        truth = None if query.truth is None else query.truth[..., 0] > 0
        marked = 0 if truth is None else int(truth.sum())
        panels = [
            Panel(
                example_panels.scan(query.image), f"{query.name}\n{query.label}".strip()
            )
        ]
        for name, heat in explain(query):
            picture = heat_maps.painted(query.image, heat, truth)
            path = folder / f"{query.name}_{_as_file(name)}_heat.png"
            image_files.write_png(path, picture)
            rows.append(_row(query, name, heat, truth) | {"picture": path.name})
            panels.append(Panel(picture, f"what speaks for\n{name}"))
        kept = examples.get(query.patient)
        room = len(examples) < PATIENTS if kept is None else marked > kept.marked
        if room and len(panels) > 1:
            examples[query.patient] = Example(marked, panels)
    return rows, examples


def _as_file(name: str) -> str:
    """A class as part of a file's name."""
    return name.replace(" ", "_").replace("/", "_")


def _row(query: Query, name: str, heat: np.ndarray, truth: np.ndarray | None) -> Row:
    row = {"slice": query.said, "patient": query.patient, "explained": name}
    if truth is None:
        return row
    share = chance = np.nan
    if truth.any():
        share = heat_maps.share_within(heat, truth)
        chance = heat_maps.share_by_chance(query.image, truth)
    return {
        **row,
        "class": query.label,
        "share_in_tumour": round(share, 4),
        "share_by_chance": round(chance, 4),
    }


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Of slices with tumour, by what is explained: heat in the tumour, and by chance."""
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
