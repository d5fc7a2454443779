"""Trains what a config says, in a folder that says everything about the run.

Order of an epoch: steps, evaluation, plateau and early stopping, history, checkpoint. A
checkpoint may also lie within an epoch, or between its steps and its evaluation.
"""

import math
import pathlib
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from tensorboardX import SummaryWriter

from brainseg_jax import files
from brainseg_jax.data import sources
from brainseg_jax.inference import scoring
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.modes import evaluate
from brainseg_jax.runs import (
    checkpoints,
    encoder_weights,
    preflight,
    records,
    resume,
    run_folder,
    transfer,
)
from brainseg_jax.runs.build import Run, prepare
from brainseg_jax.runs.records import Record
from brainseg_jax.terminal import Clock, TrainingBar
from brainseg_jax.training import optimisers
from brainseg_jax.training.state import TrainState, count, create_state

STATISTICS_BATCHES = 16  # that the averaged weights' statistics are taken from


def train(config: ConfigDict, workdir: str) -> dict[str, float] | None:
    """Trains, or goes on training, and evaluates the best weights on the test split.

    Returns the test scores; None where the run had finished before.
    """
    folder = pathlib.Path(workdir)
    with (
        run_folder.locked(folder),
        checkpoints.Checkpoints(folder) as saved,
        StopRequest() as stop,
    ):
        latest = saved.latest
        record = saved.record(latest) if latest is not None else None
        config = encoder_weights.resolve(config, record)
        if record is not None:
            resume.check(config.to_dict(), record["config"], folder)
        if record is not None and _finished(record, config):
            if evaluate.is_reported(folder, saved.record(saved.best)):
                logging.info(
                    "%s has finished its %d epochs; more --config.epochs extend it.",
                    folder,
                    record["epoch"],
                )
                return None
        else:
            run = prepare(config, folder)
            state, record = start(run, saved, record)
            _train_epochs(run, saved, stop, state, record)
            saved.wait()
        info = sources.read_info(config.data.name, config.data.data_dir)
        return evaluate.evaluate(
            folder,
            data_dir=config.data.data_dir,
            # The config names it: its leak is what it wants to show.
            allow_contaminated=config.data.test in info.leaky,
            stop=stop,
        )


def start(
    run: Run, saved: checkpoints.Checkpoints, record: Record | None
) -> tuple[TrainState, Record]:
    """The state and record to go on with: the last checkpoint's, or fresh ones."""
    shape = (1, *run.config.data.size, len(run.training.info.channels))
    fresh = create_state(
        run.model,
        run.optimizer,
        jax.random.fold_in(run.rng, 0xFFFFFFFF),
        shape,
        average=run.config.ema_decay > 0,
    )
    fresh = run.devices.replicate(fresh)
    if record is not None and saved.latest is not None:
        resume.check_data(records.data_of(run), record)
        state = saved.restore_state(saved.latest, checkpoints.abstract(fresh))
        logging.info("going on from step %d, epoch %d", state.step, record["epoch"])
        record |= {
            "config": run.config.to_dict(),
            "environment": run_folder.environment(),
        }
        records.describe(run, record)
        return state, record
    earlier: list[str] = []
    if run.config.init_from:
        names = run.training.info.channels
        fresh, earlier = transfer.transfer(
            fresh, run.model, run.task, names, run.config
        )
        fresh = run.devices.replicate(fresh)
        records.refuse_known_patients(run, earlier)
    if source := run.config.model.encoder_weights:
        encoder = encoder_weights.encoder_of(run.config)
        fresh = run.devices.replicate(encoder_weights.load(fresh, encoder, source))
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
    record = records.new_record(run, fresh, earlier)
    records.describe(run, record)
    return fresh, record


def _train_epochs(
    run: Run,
    saved: checkpoints.Checkpoints,
    stop: StopRequest,
    state: TrainState,
    record: Record,
) -> None:
    logs = SummaryWriter(
        str(run.folder / "logs"), purge_step=int(state.step) + 1, flush_secs=10
    )
    watched = run.config.evaluation.metric
    bar = TrainingBar(run.total_steps, run.config.batch_size, run.note, watched)
    with logs, bar:
        while not _finished(record, run.config):
            clock = Clock()
            state = _take_steps(run, saved, stop, state, record, bar, clock)
            state, row = _evaluate_epoch(run, stop, state, record, clock)
            if row is None:
                saved.save(state, record, None)
                raise _interrupted(saved, state, stop)
            state = _close_epoch(run, saved, state, record, row, clock)
            _log_epoch(run, logs, record, clock)
            if stop.signal:
                raise _interrupted(saved, state, stop)


def _take_steps(
    run: Run,
    saved: checkpoints.Checkpoints,
    stop: StopRequest,
    state: TrainState,
    record: Record,
    bar: TrainingBar,
    clock: Clock,
) -> TrainState:
    """The rest of an epoch's steps; losses are fetched every few steps, one behind."""
    step, end = int(state.step), run.order.epoch_end(record["epoch"] + 1)
    batches = sources.training_batches(
        run.training, run.order, step, end, resident=bool(run.resident)
    )
    waiting: list[tuple[int, dict[str, jax.Array]]] = []
    every = run.config.checkpoint.every_steps
    bar.show(step, record)
    while step < end:
        with clock.part("data"):
            batch = run.devices.shard(next(batches))
        with clock.part("step"):
            state, scalars = run.train_step(state, run.resident, batch, run.rng)
            waiting.append((step, scalars))
            step += 1
            if len(waiting) > run.config.logging.every_steps:
                _collect(run, saved, record, waiting[:-1])
                waiting = waiting[-1:]
                bar.show(step, record)
        if stop.signal or (every and step % every == 0 and step < end):
            _collect(run, saved, record, waiting)
            waiting = []
            with clock.part("checkpoint"):
                saved.save(state, record, None)
            if stop.signal:
                raise _interrupted(saved, state, stop)
    with clock.part("step"):
        _collect(run, saved, record, waiting)
        jax.block_until_ready(state.params)
    bar.show(step, record)
    return state


def _collect(
    run: Run,
    saved: checkpoints.Checkpoints,
    record: Record,
    waiting: list[tuple[int, dict[str, jax.Array]]],
) -> None:
    """Adds the losses of some steps to the epoch's sums; one not finite stops the run."""
    sums = record["sums"]
    steps_of, scalars = zip(*waiting, strict=True) if waiting else ((), ())
    for step, values in zip(steps_of, jax.device_get(list(scalars)), strict=True):
        if not all(math.isfinite(value) for value in values.values()):
            keys = [run.training.keys[i] for i in run.order.indices(step)]
            raise FloatingPointError(
                f"At step {step} the loss is {float(values['loss'])} and the gradient's "
                f"norm {float(values['gradient_norm'])}. Last good checkpoint: "
                f"{saved.latest or 'none yet'}, epochs done: {record['epoch']}. "
                f"Examples of the batch: {', '.join(keys)}. A lower "
                "config.schedule.rate or config.optimizer.clip=1 may help."
            )
        sums["steps"] = sums.get("steps", 0) + 1
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value)


def _refresh_statistics(run: Run, state: TrainState) -> TrainState:
    """Batch statistics of the averaged weights, from the first training batches."""
    if "batch_stats" not in state.average:
        return state
    counted = state, run.devices.replicate(np.int32(0))
    last = min(STATISTICS_BATCHES, run.order.epoch_end(1))
    for batch in sources.training_batches(
        run.training, run.order, 0, last, resident=bool(run.resident)
    ):
        counted, _ = run.refresh_step(
            counted, run.resident, run.devices.shard(batch), run.rng
        )
    return counted[0]


def _evaluate_epoch(
    run: Run, stop: StopRequest, state: TrainState, record: Record, clock: Clock
) -> tuple[TrainState, dict[str, Any] | None]:
    """The state, its statistics refreshed, and the epoch's row of history.

    No row if a signal came before it was whole.
    """
    epoch, sums = record["epoch"] + 1, record["sums"]
    means = {name: sums[name] / sums["steps"] for name in sums if name != "steps"}
    row = {
        "epoch": epoch,
        "step": int(state.step),
        "learning_rate": float(run.schedule(int(state.step) - 1) * state.rate_scale),
        **{f"train_{name}": value for name, value in means.items()},
    }
    if epoch % run.config.evaluation.every_epochs and epoch < run.config.epochs:
        return state, row
    with clock.part("evaluation"):
        state = _refresh_statistics(run, state)
        scored = scoring.score(
            run.eval_step,
            state.evaluated,
            run.validation_resident,
            sources.evaluation_batches(
                run.validation,
                scoring.fitting(run.config.evaluation.batch_size, run.devices),
                resident=bool(run.validation_resident),
            ),
            run.devices,
            stop=lambda: stop.signal is not None,
        )
        if scored is None:
            return state, None
        summary = run.report.summarise(
            scored, run.validation, run.task, run.config.evaluation.empty
        )
    scores = {f"validation_{name}": value for name, value in summary.items()}
    return state, row | scores


def _close_epoch(
    run: Run,
    saved: checkpoints.Checkpoints,
    state: TrainState,
    record: Record,
    row: dict[str, Any],
    clock: Clock,
) -> TrainState:
    """Counts the epoch, moves plateau and patience on, writes history and checkpoint."""
    score, better = _score(row, run.config), False
    if score is not None:
        better = record["best_score"] is None or score > record["best_score"]
        record["waited"] = 0 if better else record["waited"] + 1
        if better:
            record["best_score"], record["best_epoch"] = score, row["epoch"]
        if run.config.schedule.name == "plateau":
            state = _lower_rate(run, state, record, score)
    record["epoch"] = row["epoch"]
    record["sums"] = {}
    record["scores"] = {k: v for k, v in row.items() if k.startswith("validation_")}
    spent = {f"seconds_{name}": round(t, 3) for name, t in clock.parts.items()}
    row = {**row, "seconds": round(clock.seconds, 3), **spent, "note": run.note}
    record["history"].append(row)
    with clock.part("checkpoint"):
        saved.save(state, record, score if better else None)
    files.write_csv(run.folder / "history.csv", record["history"])
    return state


def _score(row: dict[str, Any], config: ConfigDict) -> float | None:
    """The watched metric, higher is better; None where the epoch was not evaluated."""
    if "validation_loss" not in row:
        return None
    value = row[f"validation_{config.evaluation.metric}"]
    value = value if config.evaluation.mode == "max" else -value
    return value if math.isfinite(value) else None


def _lower_rate(
    run: Run, state: TrainState, record: Record, score: float
) -> TrainState:
    options = run.config.schedule
    plateau = optimisers.update_plateau(
        optimisers.Plateau(*record["plateau"]),
        score,
        factor=options.factor,
        patience=options.patience,
        min_delta=options.min_delta,
        floor=options.minimum / options.rate,
    )
    record["plateau"] = list(plateau)
    scale = run.devices.replicate(np.float32(plateau.scale))
    return state.replace(rate_scale=scale)


def _finished(record: Record, config: ConfigDict) -> bool:
    """All epochs done, or none better for as long as patience lasts."""
    patience = config.evaluation.patience
    return record["epoch"] >= config.epochs or 0 < patience <= record["waited"]


def _interrupted(
    saved: checkpoints.Checkpoints, state: TrainState, stop: StopRequest
) -> Interrupted:
    """What to raise once the save has ended."""
    saved.wait()
    return Interrupted(
        f"Stopped and saved at step {int(state.step)}; the same command goes on from "
        "there.",
        stop.status,
    )


def _log_epoch(run: Run, logs: SummaryWriter, record: Record, clock: Clock) -> None:
    """A line for the reader, the same numbers for TensorBoard."""
    row = record["history"][-1]
    for name, value in row.items():
        if name not in ("epoch", "step", "note") and math.isfinite(value):
            logs.add_scalar(name.replace("_", "/", 1), value, row["step"])
    scored, watched = "", run.config.evaluation.metric
    if "validation_loss" in row:
        scored = f"validation loss {row['validation_loss']:.4f}  "
    if f"validation_{watched}" in row and watched != "loss":
        scored += f"{watched.replace('_', ' ')} {row[f'validation_{watched}']:.4f}  "
    logging.info(
        "%sepoch %d/%d  loss %.4f  %s%s",
        f"[{run.note}] " if run.note else "",
        row["epoch"],
        run.config.epochs,
        row["train_loss"],
        scored,
        clock.line(),
    )
