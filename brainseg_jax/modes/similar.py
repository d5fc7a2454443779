"""The stored slices most like an input, as the net sees them, and how far to trust that."""

import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging
from rich.progress import track
from rich.table import Table

from brainseg_jax import files, terminal
from brainseg_jax.data import image_files, profiles
from brainseg_jax.data.sources import Source
from brainseg_jax.reports.parts import intervals, similar_panels
from brainseg_jax.reports.parts.panels import draw_panels
from brainseg_jax.runs import (
    embeddings,
    hashes,
    notes,
    output_folder,
    queries,
    scored_splits,
    similar_cases,
)
from brainseg_jax.runs.embedder import Embedder, make_embedder
from brainseg_jax.runs.queries import Query
from brainseg_jax.runs.restore import Restored
from brainseg_jax.runs.similar_cases import Stored

COLUMNS = 6  # of pictures
EXAMPLES = 6  # rows on the page of examples
Row = dict[str, Any]


def run(request: Any) -> None:
    """--mode=similar: of files with --inputs, else how good it is on unseen patients."""
    request.refuse_overrides()
    flags = request.flags
    options = {
        "nearest": flags.nearest,
        "split": flags.split,
        "data_name": flags.data_name,
        "data_dir": flags.data_dir,
    }
    if flags.inputs:
        look_up(request.workdir, flags.inputs, request.outputs, **options)
    else:
        judge(request.workdir, request.outputs, **options)


def look_up(
    workdir: str,
    inputs: Sequence[str],
    outputs: str,
    *,
    nearest: int = 5,
    split: str = "",
    data_name: str = "",
    data_dir: str = "",
) -> list[Row]:
    """The `nearest` patients of each file, each by its slice most like it: table, figures.

    Searched is a split, by default the training split of the run's own data set. A
    patient who is named in a file's path is left out.

    Raises:
        ValueError: if the model is not of whole slices, or `outputs` lies in the inputs.
        FileNotFoundError: if there are no pictures, no checkpoint or no prepared data.
        UnreadableImage: at the end, if files cannot be read.
    """
    inputs = image_files.expand(inputs)
    folder = output_folder.check(inputs, outputs)
    restored, embedder, cases, _ = _open(workdir, split, data_name, data_dir)
    about = restored.record.about
    pictures, failed = queries.find_pictures(inputs), dict[str, str]()
    asked, total = queries.of_files(about, pictures, failed), len(pictures)
    rows: list[Row] = []
    shown = track(asked, "looking up", total=total, transient=True)
    for batch in _batches(iter(shown), embedder.size):
        vectors = embedder.embed([q.seen for q in batch], [q.scaling for q in batch])
        names = [similar_cases.named_in(q.said, cases.source.patients) for q in batch]
        apart = similar_cases.distances(cases, vectors, names)
        for query, own, left_out in zip(batch, apart, names, strict=True):
            found = similar_cases.find(cases, own, nearest)
            path = folder / f"{query.name}_similar.png"
            _draw([(query, found)], cases, path, about.note)
            told = {"file": query.said, "left_out": ";".join(left_out)}
            rows += [{**told, **row, "picture": path.name} for row in found]
    _write(rows, folder, "similar", {"note": about.note, "nearest": nearest})
    done = total - len(failed)
    logging.info("Cases like those of %d files: %s. Not for diagnosis.", done, folder)
    output_folder.refuse_unreadable(failed, total, folder)
    return rows


def judge(
    workdir: str,
    outputs: str,
    *,
    nearest: int = 5,
    split: str = "",
    data_name: str = "",
    data_dir: str = "",
) -> list[Row]:
    """How often what is found for unseen patients is of their class: retrieval.csv, .json.

    Queries are the slices of the run's own test split. Beside it stands a random order of
    the same stored slices; a page shows some queries with what is found.

    Raises:
        ValueError, FileNotFoundError: as look_up; also if classes differ.
    """
    folder = output_folder.check((), outputs)
    restored, embedder, cases, split = _open(workdir, split, data_name, data_dir)
    about = restored.record.about
    own = scored_splits.default_split(about)
    asked = scored_splits.open_source(restored, own, data_dir=data_dir)
    if asked.info.labels != cases.source.info.labels:
        raise ValueError(
            f"{cases.source.info.name} has the classes {cases.source.info.labels}, the "
            f"queries of {asked.info.name} {asked.info.labels}: give a --data_name of the "
            "same, or files with --inputs."
        )
    vectors = embeddings.of_split(embedder, asked, own, workdir, _made_by(restored))
    scores = similar_cases.judge(cases, asked, vectors, nearest)
    rows = similar_cases.table(scores, asked, nearest)
    note = notes.of_model(restored.record, asked, own)
    said = {"note": note, "queries": own, "stored": split, "nearest": nearest}
    _write(rows, folder, "retrieval", said)
    _draw_examples(cases, asked, vectors, folder / "examples.png", nearest, note)
    _print(rows, said)
    terminal.show(f"Tables and pictures: {folder}")
    return rows


def _open(
    workdir: str, split: str, data_name: str, data_dir: str
) -> tuple[Restored, Embedder, Stored, str]:
    """The model, what makes vectors with it, and the slices that are searched."""
    restored = queries.restore_one(workdir, "similar")
    about = restored.record.about
    split = split or about.config["data"]["train"]
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    embedder = make_embedder(restored, len(source))
    vectors = embeddings.of_split(embedder, source, split, workdir, _made_by(restored))
    return restored, embedder, Stored(source, vectors), split


def _made_by(restored: Restored) -> Row:
    return {
        "checkpoint_step": restored.record.step,
        "weights_sha256": hashes.of_weights(restored.variables),
    }


def _batches(asked: Iterator[Query], size: int) -> Iterator[list[Query]]:
    while batch := list(itertools.islice(asked, size)):
        yield batch


def _draw_examples(
    cases: Stored,
    asked: Source,
    vectors: np.ndarray,
    path: pathlib.Path,
    nearest: int,
    note: str,
) -> None:
    """Of some patients a slice each, with what is found for it."""
    own = similar_cases.owners(cases, asked.patients)
    shown = []
    for place in _some(asked):
        apart = similar_cases.distances(cases, vectors[[place]], [own[place]])
        found = similar_cases.find(cases, apart[0], min(nearest, COLUMNS - 1))
        shown.append((queries.at_place(asked, place), found))
    _draw(shown, cases, path, note)


def _some(asked: Source) -> list[int]:
    """Slices of patients far apart in the split, of one class after the other."""
    patients = list(dict.fromkeys(asked.patients))
    chosen = []
    for number, place in enumerate(profiles.spread(range(len(patients)), EXAMPLES)):
        own = [k for k, who in enumerate(asked.patients) if who == patients[place]]
        wanted = number % len(asked.info.labels)
        of_class = [k for k in own if asked.labels[k] == wanted] or own
        chosen.append(of_class[len(of_class) // 2])
    return chosen


def _draw(
    shown: Sequence[tuple[Query, list[Row]]],
    cases: Stored,
    path: pathlib.Path,
    note: str,
) -> None:
    """Each query with what is found for it, a row or more of pictures."""
    panels = []
    for query, found in shown:
        said = "\n".join(filter(None, (query.name, query.label)))
        panels += similar_panels.row_of_panels(
            query.image, query.truth, said, found, cases.source
        )
    columns = min(COLUMNS, len(panels) // len(shown))
    title = "A slice and the stored ones most like it, with their cosine distance"
    draw_panels(panels, columns, path, title=title, note=note)


def _write(rows: Sequence[Row], folder: pathlib.Path, name: str, said: Row) -> None:
    """<name>.csv and .json."""
    plain = [{k: v for k, v in row.items() if k != "place"} for row in rows]
    note = {"note": said["note"]}
    files.write_csv(folder / f"{name}.csv", [{**row, **note} for row in plain])
    files.write_json(folder / f"{name}.json", {**said, name: plain})


def _print(rows: Sequence[Row], said: Row) -> None:
    """Scores with their intervals, each beside that of a random order."""
    at_k = f"precision_at_{said['nearest']}"
    title = f"{said['queries']} looked up in {said['stored']}"
    table = Table(
        title="\n".join(filter(None, (title, said["note"]))),
        caption="means over queries, 95 % intervals over patients; at random in brackets",
    )
    for column in ("class", "queries", "patients", "mAP", at_k.replace("_", " ")):
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in rows:
        scores = (
            f"{intervals.with_interval(row, name)} [{row[f'random_{name}']:.3f}]"
            for name in ("map", at_k)
        )
        table.add_row(
            row["class"], *map(str, (row["queries"], row["patients"])), *scores
        )
    terminal.show(table)
