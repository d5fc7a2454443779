"""The stored cases most like an input, as the net sees them, and how far to trust that."""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging
from rich.progress import track
from rich.table import Table

from brainseg_jax import files, terminal
from brainseg_jax.data import image_files, leakage, profiles
from brainseg_jax.data.sources import Source
from brainseg_jax.reports.parts import intervals, similar_panels
from brainseg_jax.reports.parts.panels import draw_panels
from brainseg_jax.runs import (
    embeddings,
    ensembles,
    experiment,
    hashes,
    notes,
    output_folder,
    queries,
    restore,
    scored_splits,
    similar_cases,
)
from brainseg_jax.runs.embedder import Embedder, make_embedder
from brainseg_jax.runs.predictor import make_volume_labeller
from brainseg_jax.runs.queries import Query
from brainseg_jax.runs.records import About
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
    """The `nearest` patients of each file, each by its slice or volume most like it.

    Searched is a split, by default the training split of the run's own data set, or those
    of several runs. A patient who is named in a file's path is left out.

    Raises:
        ValueError: if files are not of the model's kind, or `outputs` lies in the inputs.
        FileNotFoundError: if there are no files, no checkpoint or no prepared data.
        UnreadableImage: at the end, if files cannot be read.
    """
    inputs = image_files.expand(inputs)
    folder = output_folder.check(inputs, outputs)
    restored = queries.restore(workdir)
    about, guess = restored.record.about, _make_guess(restored)
    asked, total, failed = queries.of_inputs(about, inputs)
    embedder, cases, _ = _open_stored(workdir, restored, split, data_name, data_dir)
    rows: list[Row] = []
    shown = track(asked, "looking up", total=total, transient=True)
    for batch in _batches(iter(shown), embedder.size):
        vectors = embedder.embed([q.seen for q in batch], [q.scaling for q in batch])
        names = [similar_cases.named_in(q.said, cases.source.patients) for q in batch]
        apart = similar_cases.distances(cases, vectors, names)
        for query, own, left_out in zip(batch, apart, names, strict=True):
            found = similar_cases.find(cases, own, nearest)
            path = folder / f"{query.name}_similar.png"
            _draw([(query, found)], cases, path, about.note, guess(query))
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

    Queries are the examples of the run's own test split. Beside it stands a random order of
    the same stored ones; a page shows some queries with what is found.

    Raises:
        ValueError, FileNotFoundError: as look_up; also if classes differ, or if one of
            several models was trained on the patients that would be asked about.
    """
    folder = output_folder.check((), outputs)
    restored = queries.restore(workdir)
    about = restored.record.about
    embedder, cases, split = _open_stored(workdir, restored, split, data_name, data_dir)
    own = scored_splits.default_split(about)
    asked = scored_splits.open_source(restored, own, data_dir=data_dir)
    if asked.info.labels != cases.source.info.labels:
        raise ValueError(
            f"{cases.source.info.name} has the classes {cases.source.info.labels}, the "
            f"queries of {asked.info.name} {asked.info.labels}: give a --data_name of the "
            "same, or files with --inputs."
        )
    if ensembles.said(workdir):  # leaky splits of one run share patients on purpose
        _refuse_trained(workdir, about, asked, own)
    if len({*asked.labels, *cases.source.labels}) == 1:
        logging.warning(
            "All of %s and %s are of one class: every order of them scores 1. The page of "
            "examples alone tells anything.",
            own,
            split,
        )
    vectors = _vectors(workdir, restored, embedder, asked, own)
    scores = similar_cases.judge(cases, asked, vectors, nearest)
    rows = similar_cases.table(scores, asked, nearest)
    note = notes.of_runs(workdir, restored.record, asked, own)
    said = {"note": note, "queries": own, "stored": split, "nearest": nearest}
    _write(rows, folder, "retrieval", said)
    _draw_examples(cases, asked, vectors, folder / "examples.png", nearest, note)
    _print(rows, said)
    terminal.show(f"Tables and pictures: {folder}")
    return rows


def _open_stored(
    workdir: str, restored: Restored, split: str, data_name: str, data_dir: str
) -> tuple[Embedder, Stored, str]:
    """What makes vectors with a model, the cases that are searched, and their split."""
    split = split or _trained_on(workdir)
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    embedder = make_embedder(restored, len(source))
    vectors = _vectors(workdir, restored, embedder, source, split)
    return embedder, Stored(source, vectors), split


def _trained_on(workdir: str) -> str:
    """The training split of a run, of several on the first one's data set all together."""
    runs = ensembles.runs_of(workdir)
    options = [restore.read_best(run).about.config["data"] for run in runs]
    parts = [
        part
        for one in options
        if one["name"] == options[0]["name"]
        for part in one["train"].split("+")
    ]
    return "+".join(dict.fromkeys(parts))


def _vectors(
    workdir: str, restored: Restored, embedder: Embedder, source: Source, split: str
) -> np.ndarray:
    """Kept in the run's folder; of several runs in the first one's, under another name."""
    home = ensembles.folders(workdir)[0]
    name = "_".join(filter(None, [ensembles.name_of(workdir), split]))
    made_by = {
        "checkpoint_step": restored.record.step,
        "weights_sha256": hashes.of_weights(restored.variables),
    }
    return embeddings.of_split(embedder, source, name, home, made_by)


def _refuse_trained(workdir: str, about: About, asked: Source, split: str) -> None:
    """Of models that were trained on one another's patients nobody is left to ask about."""
    if shared := leakage.known(asked.patients, about.trained_patients):
        raise ValueError(
            f"{len(shared)} patients of {split} were trained on by one of the models of "
            f"{workdir} ({', '.join(shared[:3])}): how well they find cases like those "
            "says nothing of new patients. Give the folder of a single run or fold, or "
            "files with --inputs."
        )


def _make_guess(restored: Restored) -> Callable[[Query], np.ndarray | None]:
    """Where a volume's tumour may be, which chooses the plane to show; None of slices."""
    windows = experiment.windows_seen(restored.record.about.settings)
    if restored.record.about.info.dimensions == 2 or windows is None:
        return lambda query: None
    label = make_volume_labeller(restored, windows)
    return lambda query: label(query.seen, query.scaling)[..., 0] > 0


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
    likely: np.ndarray | None = None,
) -> None:
    """Each query with what is found for it, a row or more of pictures."""
    panels = []
    for query, found in shown:
        said = "\n".join(filter(None, (query.name, query.label)))
        panels += similar_panels.row_of_panels(
            query.image, query.truth, said, found, cases.source, likely
        )
    columns = min(COLUMNS, len(panels) // len(shown))
    what = "slice" if cases.source.info.dimensions == 2 else "volume"
    title = f"A {what} and the stored ones most like it, with their cosine distance"
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
