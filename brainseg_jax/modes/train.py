"""Trains what a config says, in a folder that says everything about the run."""

import pathlib
from collections.abc import Callable
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from brainseg_jax import files
from brainseg_jax.data import info as data_info
from brainseg_jax.interrupt import StopRequest
from brainseg_jax.modes import evaluate
from brainseg_jax.runs import (
    build,
    checkpoints,
    encoder_weights,
    epochs,
    experiment,
    loop,
    members,
    precision,
    preflight,
    records,
    report_folders,
    resume,
    run_folder,
    snapshots,
    transfer,
    unlike,
)
from brainseg_jax.runs.build import Run
from brainseg_jax.runs.records import About, Progress, Record
from brainseg_jax.training.state import TrainState, count


def run(request: Any) -> None:
    """--mode=train: checks, prepares the data, trains, and scores the test split."""
    info = data_info.described(**request.describe_data())
    train(request.config, request.workdir, info=info, prepare=request.prepare_data)


def train(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    *,
    info: data_info.Info | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> dict[str, float] | None:
    """Trains, or goes on training, and evaluates the best weights on the test split.

    What can be refused without data is refused before `prepare` makes them ready; `info`
    describes them, None: they lie prepared. Returns the test scores (of the validation
    split where there is no test); None where there is neither, or the run had finished
    before.

    Raises:
        ValueError: if a setting cannot work or does not fit the data, the checkpoint or the
            weights to start from; names what to change.
        FileNotFoundError: if the data set is not prepared, or config.init_from holds no
            checkpoint.
        OSError: if the folder cannot be written, or published weights cannot be had.
        RuntimeError: if another process writes to the folder.
        FloatingPointError: if a loss is not finite.
        Interrupted: after a signal, once everything is saved.
    """
    folder = pathlib.Path(workdir)
    if members.read(folder) is not None:
        held = "a cross-validation, whose folds --mode=crossval trains"
        if not members.are_folds(folder):
            held = "snapshots of the training in the folder above"
        raise ValueError(f"{folder} holds {held}. Give a single run another --workdir.")
    if info is None:
        info = data_info.read_info(config.data.name, config.data.data_dir)
    preflight.check_start(config, folder, info)
    prepare()
    precision.set_precision(config)
    with (
        run_folder.locked(folder),
        checkpoints.Checkpoints(folder) as saved,
        StopRequest() as stop,
    ):
        record = _last_record(saved)
        config = encoder_weights.resolve(config, record and record.about)
        if record is not None and _is_finished(config, record, folder):
            if not _scored_on(config) or report_folders.is_reported(folder):
                _tell_finished(folder, config, record.progress)
                return None
        else:
            if record is None:
                snapshots.refuse_earlier(folder, config.to_dict())
            made = build.make_run(config, folder)
            state, about, progress = start(made, saved, record)
            loop.Loop(made, about, saved, stop).train(state, progress)
            saved.wait()
        return _score(folder, config, stop)


def _score(
    folder: pathlib.Path, config: ConfigDict, stop: StopRequest
) -> dict[str, float] | None:
    """Evaluates on the test split, or else the validation split; None where none is."""
    if not _scored_on(config):
        logging.info(
            "%s has neither a test nor a validation split: there is nothing to score.",
            folder,
        )
        return None
    leaky = data_info.read_info(config.data.name, config.data.data_dir).leaky
    return evaluate.evaluate(
        folder,
        data_dir=config.data.data_dir,
        # A leaky split is named in order to show what its leak does to the scores.
        allow_contaminated=config.data.test in leaky,
        stop=stop,
    )


def start(
    run: Run, saved: checkpoints.Checkpoints, record: Record | None
) -> tuple[TrainState, About, Progress]:
    """State and record to go on with: the last checkpoint's, or fresh ones."""
    fresh = run.fresh_state()
    if record is not None and saved.latest is not None:
        resume.check_same_data(records.describe_data(run.training), record.about)
        state = saved.restore_state(saved.latest, checkpoints.abstract(fresh))
        logging.info(
            "going on from step %d, epoch %d", state.step, record.progress.epoch
        )
        about = _describe(run, fresh, record.about, record.about.earlier_choosers)
        return state, about, record.progress
    origin: Record | None = None
    if run.config.init_from:
        channels = experiment.input_channels(run.config, run.training.info)
        fresh, origin = transfer.transfer(fresh, run.parts, channels, run.config)
        fresh = run.devices.replicate(fresh)
        resume.check_earlier_patients(run, origin)
    if source := run.config.model.encoder_weights:
        encoder = encoder_weights.encoder_of(run.config)
        fresh = run.devices.replicate(encoder_weights.place(fresh, encoder, source))
        logging.info("encoder %s starts from %s", encoder, source)
    logging.info(
        "%s: %d parameters, %d more in BatchNorm; %d devices by %s; %d steps",
        run.config.model.name,
        count(fresh.params),
        count(fresh.batch_stats),
        len(run.devices.devices),
        run.devices.mode,
        run.total_steps,
    )
    preflight.tell(run, fresh)
    earlier, choosers = (origin.about, origin.choice.patients) if origin else (None, ())
    return fresh, _describe(run, fresh, earlier, choosers), Progress()


def _scored_on(config: ConfigDict) -> str:
    """The split that is scored at the end; "" where every patient trains."""
    return config.data.test or config.data.validation


def _tell_finished(folder: pathlib.Path, config: ConfigDict, done: Progress) -> None:
    if done.epoch < config.epochs:
        logging.info(
            "%s ended after %d epochs, %d evaluations without a better one; a larger "
            "--config.evaluation.patience lets it go on.",
            folder,
            done.epoch,
            done.waited,
        )
        return
    logging.info(
        "%s has finished its %d epochs; more --config.epochs extend it.",
        folder,
        done.epoch,
    )


def _last_record(saved: checkpoints.Checkpoints) -> Record | None:
    latest = saved.latest
    return None if latest is None else records.from_json(saved.record(latest))


def _is_finished(config: ConfigDict, record: Record, folder: pathlib.Path) -> bool:
    """Whether nothing is left to train; refuses to go on as another run."""
    finished = epochs.is_finished(
        record.progress, config.epochs, config.evaluation.patience
    )
    resume.check_config(config.to_dict(), record, folder, goes_on=not finished)
    return finished


def _describe(
    run: Run, state: TrainState, earlier: About | None, choosers: tuple[str, ...]
) -> About:
    """What is kept of a run; writes it where a reader without the code finds it.

    Patients of an `earlier` run, whose weights this one took or goes on with, are kept;
    `choosers` are those who chose the epoch of the one that it took them from.
    """
    trained = set(run.training.patients)
    validated = set(run.validation.patients) if run.validation is not None else set()
    if earlier is not None:
        trained |= {*earlier.trained_patients}
    about = About(
        config=run.config.to_dict(),
        data=records.describe_data(run.training) | unlike.describe(run.training),
        note=run.note,
        trained_patients=tuple(sorted(trained)),
        validation_patients=tuple(sorted(validated)),
        parameters=count(state.params),
        batch_statistics=count(state.batch_stats),
        environment=run_folder.environment(),
        earlier_choosers=choosers,
    )
    files.write_json(run.folder / "config.json", vars(about))
    return about
