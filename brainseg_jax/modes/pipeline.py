"""Two stages: a classifier looks at every slice, a segmenter at those it calls tumour."""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import logging

from brainseg_jax import files, registry, tasks, terminal
from brainseg_jax.data import image_files, modalities
from brainseg_jax.data.sources import Source
from brainseg_jax.reports.parts import two_stage_figures, two_stage_tables
from brainseg_jax.runs import (
    notes,
    output_folder,
    picture_outputs,
    precision,
    report_folders,
    report_writing,
    scorable,
    scored_splits,
    two_stage_pictures,
    two_stage_scores,
    two_stages,
)
from brainseg_jax.runs.two_stages import Pair, Stage

Row = dict[str, Any]


def run(request: Any) -> None:
    """--mode=pipeline: on --inputs, or scored on a split of the prepared data."""
    request.refuse_overrides()
    flags = request.flags
    _check_flags(flags)
    if flags.inputs:
        on_pictures(
            flags.classifier,
            flags.segmenter,
            flags.inputs,
            flags.outputs,
            least_area=flags.least_area,
            also=flags.also,
        )
    else:
        on_split(
            flags.classifier,
            flags.segmenter,
            flags.split,
            outputs=flags.outputs,
            data_name=flags.data_name,
            data_dir=flags.data_dir,
            least_area=flags.least_area,
            allow_contaminated=flags.allow_contaminated,
        )


def _check_flags(flags: Any) -> None:
    if not flags.classifier or not flags.segmenter:
        raise ValueError(
            "--mode=pipeline needs --classifier=<folder of a run> and "
            "--segmenter=<folder of a run>."
        )
    if flags.workdir:
        raise ValueError(
            f"--mode=pipeline is of the two runs that --classifier and --segmenter name; "
            f"leave out --workdir={flags.workdir}."
        )
    if flags.least_area < 0:
        raise ValueError(f"--least_area={flags.least_area} has to be 0 or more pixels.")
    if flags.inputs and flags.split:
        raise ValueError(
            "--inputs are predicted and a --split is scored; give one of them."
        )
    for name in ("data_name", "data_dir", "allow_contaminated"):
        if flags.inputs and getattr(flags, name):
            raise ValueError(f"--{name} is of a split that is scored, not of --inputs.")
    if flags.also and not flags.inputs:
        raise ValueError("--also is of --inputs that are predicted, not of a split.")
    if flags.inputs and not flags.outputs:
        raise ValueError("--mode=pipeline with --inputs needs --outputs=<folder>.")


def on_pictures(
    classifier: str,
    segmenter: str,
    inputs: Sequence[str],
    outputs: str,
    *,
    least_area: int = 0,
    also: Sequence[str] = (),
) -> list[Row]:
    """Classifies every image below `inputs`, and writes masks of those called tumour.

    Gives the rows of `predictions.csv`. `also` is of picture_outputs.ALSO.

    Raises:
        ValueError: if the models do not go together, `outputs` cannot be, or an input is
            no slice.
        UnreadableImage: at the end, if files cannot be decoded or are not of the models'
            kind.
        FileNotFoundError: if there are no images, or no checkpoint.
    """
    if unknown := {*also} - {*picture_outputs.ALSO}:
        raise ValueError(
            f"--also has {unknown.pop()!r}; of slices it can have "
            f"{', '.join(picture_outputs.ALSO)}."
        )
    inputs = image_files.expand(inputs)
    folder = output_folder.check(inputs, outputs)
    if scans := modalities.find_volumes(inputs):
        raise ValueError(
            f"{scans[0]} is a scan, and two stages are of slices; give pictures or DICOM "
            "files. --mode=predict segments scans."
        )
    found = image_files.find_images(inputs)
    pair = two_stages.open_pair(classifier, segmenter)
    written = two_stage_pictures.predict(
        pair, found, folder, least_area=least_area, also=also
    )
    positive = sum(row["has_tumour"] for row in written.rows)
    logging.info(
        "%d images in %s, %d with tumour. Not for diagnosis.",
        len(written.rows),
        folder,
        positive,
    )
    output_folder.refuse_unreadable(written.failed, len(found), folder)
    return written.rows


def on_split(
    classifier: str,
    segmenter: str,
    split: str = "",
    *,
    outputs: str = "",
    data_name: str = "",
    data_dir: str = "",
    least_area: int = 0,
    allow_contaminated: bool = False,
) -> Row:
    """Scores two stages beside the segmenter alone; gives what summary.json says.

    The split is the segmenter's test split unless another is named; the report lies in
    `outputs`, by default pipeline/<split> in the segmenter's folder, as report_folder says.

    Raises:
        ValueError: if the models do not go together, or, unless that is allowed, were
            trained on patients of the split or on other folds than each other.
        FileNotFoundError: if there is no checkpoint, or the data set is not prepared.
    """
    pair = two_stages.open_pair(classifier, segmenter)
    split = split or scored_splits.default_split(pair.segmenter.about)
    options = pair.segmenter.about.config["data"]
    data = data_name or options["name"], data_dir or options["data_dir"]
    sources = [_open(stage, split, *data) for stage in pair]
    if not allow_contaminated:
        for stage, source in zip(pair, sources, strict=True):
            scorable.refuse_trained(source, stage.about, split)
        two_stages.refuse_other_folds(pair)
    folder = pathlib.Path(outputs or report_folder(pair.segmenter, data[0], split))
    note = _note(pair, sources, split)
    names = (stage.about.config["model"]["name"] for stage in pair)
    title = f"{', then '.join(names)} on {data[0]} {split}"
    summary = _report(pair, sources, folder, least_area, note=note, title=title)
    rows, caption = two_stage_tables.headline(summary)
    report_writing.print_summary(rows, caption, title=title, note=note)
    terminal.show(f"Tables and pictures: {folder}")
    return summary


def report_folder(segmenter: Stage, data_name: str, split: str) -> pathlib.Path:
    """In the segmenter's folder, by the name that its evaluation has there."""
    return report_folders.report_folder(
        segmenter.workdir, segmenter.about, data_name, split, kind="pipeline"
    )


def _open(stage: Stage, split: str, data_name: str, data_dir: str) -> Source:
    """Every slice of a split, as the stage sees it."""
    restored = two_stages.of_all_slices(stage.restored)
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    named_by = registry.find(tasks, restored.parts.task.name).NAMED_BY
    scorable.check_kind(source.info, stage.about.info, named_by)
    return source


def _note(pair: Pair, sources: Sequence[Source], split: str) -> str:
    """What has to be said wherever these scores are shown."""
    each = {
        name: notes.of_runs(
            stage.workdir,
            two_stages.of_all_slices(stage.restored).record,
            source,
            split,
            stage.card,
        )
        for name, stage, source in zip(pair._fields, pair, sources, strict=True)
    }
    both = notes.common(each), two_stages.other_folds(pair)
    return "; ".join(filter(None, both))


def _report(
    pair: Pair,
    sources: Sequence[Source],
    folder: pathlib.Path,
    least_area: int,
    *,
    note: str,
    title: str,
) -> Row:
    """Every table and picture; gives what summary.json says."""
    precision.set_precision(pair.classifier.about.config)
    decided = two_stage_scores.classify(pair.classifier, sources[0])
    precision.set_precision(pair.segmenter.about.config)
    source, task = sources[1], pair.segmenter.restored.parts.task
    masks = two_stage_scores.make_masker(pair.segmenter, source)
    staged = two_stage_scores.score(decided, masks, source)
    ways: dict[str, Any] = {
        "empty": pair.segmenter.about.config["evaluation"]["empty"],
        "least_area": least_area,
    }
    tables = {
        "slices.csv": two_stage_tables.by_slice(staged, source, **ways),
        "patients.csv": two_stage_tables.by_patient(staged, source, **ways),
        "confusion.csv": two_stage_tables.confusion_rows(
            two_stage_tables.matrices_of(staged, least_area)
        ),
    }
    for name, rows in tables.items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])

    def mask_of(place: int) -> Any:
        own = [
            k for k, who in enumerate(source.patients) if who == source.patients[place]
        ]
        found = masks(staged.called, own)
        return next(one.together for one in found if one.place == place)

    two_stage_figures.draw(
        staged, source, mask_of, folder, **ways, title=title, note=note
    )
    summary = {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "patients": len({*source.patients}),
        "slices": len(source),
        **{name: _about(stage) for name, stage in zip(pair._fields, pair, strict=True)},
        "empty_masks": ways["empty"],
        **two_stage_tables.summarise(staged, source, task.classes, **ways),
    }
    files.write_json(folder / "summary.json", summary)
    return summary


def _about(stage: Stage) -> Row:
    """Which checkpoint a stage is, and how its predictions are mended."""
    about, card = stage.about, stage.card
    return {
        "workdir": stage.workdir,
        "model": about.config["model"]["name"],
        "checkpoint_step": stage.restored.record.step,
        "threshold": about.config["evaluation"]["threshold"],
        "temperature": card.temperature if card else None,
        "post_processing": card.rules._asdict() if card else None,
    }
