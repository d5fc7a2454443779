"""report.html and model_card.md: all that a report says, in one file each."""

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from brainseg_jax import files, registry, reports, tasks
from brainseg_jax.data.sources import Source
from brainseg_jax.reports.page import (
    blocks,
    card_sections,
    contents,
    failure_section,
    leak_section,
    patient_section,
)
from brainseg_jax.reports.page.blocks import Grid, Picture, Section
from brainseg_jax.reports.page.contents import Contents
from brainseg_jax.runs import ensembles, hashes, leaks, run_folder
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]
HEADS = ("", "mask/", "label/")  # folders of a report that figures lie in


Model = tuple[Restored, Source]  # with what it was scored on


class Origin(NamedTuple):
    """Where a run lies, its models, and the hash of the prepared data."""

    workdir: pathlib.Path
    models: Sequence[Model]  # several where each patient's is another
    data_sha256: str
    chosen: pathlib.Path  # where it was drawn what a card was chosen by


class Scores(NamedTuple):
    """As they are printed: what is asked for first, and each table over patients."""

    headline: Mapping[str, str]
    caption: str
    over_patients: Sequence[Table]


class Told(NamedTuple):
    """What a report has told in its tables."""

    title: str
    said: Row  # of summary.json, but for the scores
    summary: Mapping[str, float]
    scores: Scores
    tables: Mapping[str, Sequence[Row]]  # by file


def origin_of(
    workdir: str | pathlib.Path, models: Sequence[Model], data_dir: str
) -> Origin:
    """Of several runs as one, the first's folder."""
    name = models[0][1].info.name
    first = pathlib.Path(ensembles.folders(workdir)[0])
    return Origin(
        first,
        models,
        hashes.of_data(name, data_dir),
        ensembles.figures_of(workdir),
    )


def figures(task: str) -> dict[str, str]:
    """Every picture that a report of a task may have, with what it shows."""
    drawn = registry.find(reports, task).FIGURES
    return contents.OF_FOLDS | drawn | contents.OF_TRAINING


def of_failures() -> dict[str, str]:
    """Those of its failure gallery, of one head or of each."""
    return {
        head + name: caption
        for head in HEADS
        for name, caption in contents.OF_FAILURES.items()
    }


def write(
    folder: pathlib.Path,
    told: Told,
    restored: Restored,
    source: Source,
    origin: Origin,
    places: Mapping[str, str],
) -> Row:
    """Both pages; gives what summary.json says of leaks and versions."""
    about = restored.record.about
    shared = leaks.find(
        [(own.record, part) for own, part in origin.models],
        told.said["split"],
        origin.workdir,
    )
    made_by = {
        "code_sha256": hashes.of_code(),
        "config_sha256": hashes.of_config(about.config),
        "data_sha256": origin.data_sha256,
        "weights_sha256": hashes.of_weights(
            [own.variables for own, _ in origin.models]
        ),
        "trained_with": dict(about.environment),
        "scored_with": run_folder.environment(),
    }
    failed = {
        name: rows
        for name, rows in told.tables.items()
        if name.endswith(failure_section.FILE)
    }
    page = Contents(
        title=told.title,
        notes=[part for part in told.said["note"].split("; ") if part],
        leaks=leak_section.section(shared),
        scores=_scores(told.scores),
        figures=[
            *_pictures(folder, figures(restored.parts.task.name)),
            *_chosen(origin, told.said),
        ],
        failures=failure_section.section(
            failed, _pictures(folder, of_failures()), source.info.dimensions
        ),
        patients=patient_section.section(told.tables),
        limits=card_sections.limits(
            told.said, about.info, source.info, len(origin.models)
        ),
        card=_card(told, restored, source, made_by, places, origin.models),
    )
    files.write_atomically(folder / "report.html", contents.page(page).encode())
    files.write_atomically(folder / "model_card.md", contents.model_card(page).encode())
    return {"leaks": leaks.to_json(shared), "made_by": made_by}


def _card(
    told: Told,
    restored: Restored,
    source: Source,
    made_by: Row,
    places: Mapping[str, str],
    models: Sequence[Model],
) -> list[Section]:
    about = restored.record.about
    named_by = registry.find(tasks, restored.parts.task.name).NAMED_BY
    classes = "; ".join(", ".join(getattr(source.info, field)) for field in named_by)
    of_model = {
        "parameters": about.parameters,
        "step": told.said["checkpoint_step"],
        "epoch": restored.record.progress.epoch,
        "taken": "; ".join(dict.fromkeys(own.record.choice.how for own, _ in models)),
    }
    numbers = {
        "models": len(models),
        "trained": len(about.trained_patients),
        "validated": len(about.validation_patients),
    }
    scored = {*source.patients}
    institutions = collections.Counter(
        place for patient, place in places.items() if patient in scored
    )
    return [
        card_sections.model(about.config, of_model, classes),
        card_sections.data(about.config, told.said, about.info, numbers, institutions),
        card_sections.policies(told.said),
        card_sections.calibration(told.summary, told.said),
        card_sections.versions(made_by),
    ]


def _scores(scores: Scores) -> Section:
    first = Grid(("score", "value"), [*scores.headline.items()], scores.caption)
    over = [blocks.of_table(table) for table in scores.over_patients]
    titled = [
        Section(
            "Over patients" if len(over) == 1 else f"Over patients: {head}", [table]
        )
        for head, table in zip(("masks", "classes"), over, strict=False)
    ]
    return Section("Scores", [first, *titled])


def _pictures(folder: pathlib.Path, captions: Mapping[str, str]) -> list[Picture]:
    """Those that were drawn."""
    return [
        Picture(name, caption, (folder / name).read_bytes())
        for name, caption in captions.items()
        if (folder / name).is_file()
    ]


def _chosen(origin: Origin, said: Mapping[str, Any]) -> list[Picture]:
    """What was drawn where a card was chosen, of what the report takes from it."""
    names = {
        name: caption
        for name, (caption, parts) in contents.CHOSEN.items()
        if parts & {*said}
    }
    return [
        one._replace(name=f"{ensembles.POSTPROCESS}/{one.name}")
        for one in _pictures(origin.chosen, names)
    ]
