"""The loop of training: steps, evaluation, the end of the epoch, checkpoint.

A checkpoint may also lie within an epoch, or between its steps and its evaluation.
"""

import math
from typing import Any

import jax
import numpy as np
from absl import logging
from tensorboardX import SummaryWriter

from brainseg_jax import files
from brainseg_jax.data import reading
from brainseg_jax.inference import scoring
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.runs import checkpoints, epochs, experiment, records, snapshots
from brainseg_jax.runs.build import Run
from brainseg_jax.runs.records import About, Progress, Row
from brainseg_jax.terminal import Clock, ProcessorClock, TrainingBar
from brainseg_jax.training.state import TrainState

STATISTICS_BATCHES = 16  # that the averaged weights' batch statistics are taken from

Losses = list[tuple[int, dict[str, jax.Array]]]  # of some steps, still on the devices


class Loop:
    """Trains a run, with all that it writes to."""

    def __init__(
        self, run: Run, about: About, saved: checkpoints.Checkpoints, stop: StopRequest
    ):
        self._run, self._about, self._saved, self._stop = run, about, saved, stop
        self._processor = ProcessorClock()

    def train(self, state: TrainState, progress: Progress) -> None:
        """Epoch after epoch, until the run is finished.

        Raises:
            Interrupted: after a signal, once everything is saved.
            FloatingPointError: where a loss is not finite.
        """
        run, config = self._run, self._run.config
        logs = SummaryWriter(
            str(run.folder / "logs"), purge_step=int(state.step) + 1, flush_secs=10
        )
        watched = config.evaluation.metric
        bar = TrainingBar(run.total_steps, config.batch_size, run.note, watched)
        with logs, bar:
            while not epochs.is_finished(
                progress, config.epochs, config.evaluation.patience
            ):
                clock = Clock()
                state, progress = self._take_steps(state, progress, bar, clock)
                state, row = self._evaluate(state, progress, clock)
                if row is None:
                    raise self._interrupted(state, progress)
                state, progress = self._close(state, progress, row, clock)
                _log_epoch(run, logs, progress.history[-1], clock)
                if self._stop.signal:
                    raise self._interrupted(state, None)

    def _take_steps(
        self, state: TrainState, progress: Progress, bar: TrainingBar, clock: Clock
    ) -> tuple[TrainState, Progress]:
        """The rest of an epoch's steps; losses are fetched every few steps, one behind."""
        run, waiting = self._run, Losses()
        step, end = int(state.step), run.order.epoch_end(progress.epoch + 1)
        every, fetched = (
            run.config.checkpoint.every_steps,
            run.config.logging.every_steps,
        )
        batches = reading.training_batches(
            run.training, run.order, step, end, resident=bool(run.resident)
        )
        _show(bar, step, progress)
        while step < end:
            with clock.part("data"):
                batch = run.devices.shard(next(batches))
            save = self._stop.signal or (every and (step + 1) % every == 0)
            with clock.part("step"):
                state, scalars = run.train_step(state, run.resident, batch, run.rng)
                waiting.append((step, scalars))
                step += 1
                # Before a save, the wait for the steps so far is theirs.
                if save or step == end:
                    progress = self._add(progress, waiting)
                    waiting = []
                elif len(waiting) > fetched:
                    progress = self._add(progress, waiting[:-1])
                    waiting = waiting[-1:]
                    _show(bar, step, progress)
            if self._stop.signal:
                progress = self._add(progress, waiting)
                raise self._interrupted(state, progress)
            if save and step < end:
                with clock.part("checkpoint"):
                    self._save(state, progress, None)
        with clock.part("step"):
            jax.block_until_ready(state.params)
        _show(bar, step, progress)
        return state, progress

    def _add(self, progress: Progress, waiting: Losses) -> Progress:
        """The losses of some steps in the epoch's sums; one not finite stops the run."""
        fetched = jax.device_get([scalars for _, scalars in waiting])
        for (step, _), values in zip(waiting, fetched, strict=True):
            if not all(math.isfinite(value) for value in values.values()):
                keys = [
                    self._run.training.keys[i] for i in self._run.order.indices(step)
                ]
                raise FloatingPointError(
                    f"At step {step} the loss is {float(values['loss'])} and the "
                    f"gradient's norm {float(values['gradient_norm'])}. Last good "
                    f"checkpoint: {self._saved.latest or 'none yet'}, epochs done: "
                    f"{progress.epoch}. Examples of the batch: {', '.join(keys)}. A lower "
                    "config.schedule.rate or config.optimizer.clip=1 may help."
                )
        return epochs.add_losses(progress, fetched)

    def _evaluate(
        self, state: TrainState, progress: Progress, clock: Clock
    ) -> tuple[TrainState, Row | None]:
        """The state, its averaged statistics renewed, and the epoch's row of history.

        No row if a signal came before it was whole.
        """
        run, epoch = self._run, progress.epoch + 1
        losses = epochs.mean_losses(progress)
        rate = float(run.schedule(int(state.step) - 1) * state.rate_scale)
        row = {
            "epoch": epoch,
            "step": int(state.step),
            "learning_rate": rate,
            **{f"train_{name}": value for name, value in losses.items()},
        }
        if run.validation is None:  # whichever epoch is the last is kept
            with clock.part("evaluation"):
                return refresh_statistics(run, state), row
        if epoch % run.config.evaluation.every_epochs and epoch < run.config.epochs:
            return state, row
        with clock.part("evaluation"):
            state = refresh_statistics(run, state)
            scores = _score_validation(run, state, self._stop)
        return state, None if scores is None else row | scores

    def _close(
        self, state: TrainState, progress: Progress, row: Row, clock: Clock
    ) -> tuple[TrainState, Progress]:
        """Counts the epoch, lowers the rate on a plateau, writes checkpoint and history."""
        run, options = self._run, self._run.config.schedule
        spent = {f"seconds_{name}": round(t, 3) for name, t in clock.parts.items()}
        # Without the start of a run and compiling its step, which a cache may spare.
        spent["seconds_processor"] = round(self._processor.since_told(), 3)
        seconds = round(clock.seconds, 3)
        plateau = {
            "factor": options.factor,
            "patience": options.patience,
            "min_delta": options.min_delta,
            "floor": options.minimum / options.rate,
        }
        progress = epochs.close_epoch(
            progress,
            {**row, "seconds": seconds, **spent, "note": run.note},
            metric=run.config.evaluation.metric,
            mode=run.config.evaluation.mode,
            plateau=plateau if options.name == "plateau" else None,
        )
        scale = np.float32(progress.plateau.scale)
        state = state.replace(rate_scale=run.devices.replicate(scale))
        better = progress.best_epoch == progress.epoch
        with clock.part("checkpoint"):
            if cycle := snapshots.ended(progress.epoch, options.cycle_epochs):
                snapshots.keep(run.folder, cycle, state, self._about, progress)
            self._save(state, progress, progress.best_score if better else None)
        files.write_csv(run.folder / "history.csv", progress.history)
        return state, progress

    def _save(self, state: TrainState, progress: Progress, score: float | None) -> None:
        self._saved.save(state, records.to_json(self._about, progress), score)

    def _interrupted(self, state: TrainState, progress: Progress | None) -> Interrupted:
        """What to raise once all is saved; `progress` where it is not yet."""
        if progress is not None:
            if progress.best_epoch is None:  # then this is what is evaluated
                state = refresh_statistics(self._run, state)
            self._save(state, progress, None)
        self._saved.wait()
        return Interrupted(
            f"Stopped and saved at step {int(state.step)}; the same command goes on from "
            "there.",
            self._stop.status,
        )


def refresh_statistics(run: Run, state: TrainState) -> TrainState:
    """With batch statistics of the averaged weights, from the first training batches."""
    if "batch_stats" not in state.average:
        return state
    counted = state, run.devices.replicate(np.int32(0))
    last = min(STATISTICS_BATCHES, run.order.epoch_end(1))
    for batch in reading.training_batches(
        run.training, run.order, 0, last, resident=bool(run.resident)
    ):
        sharded = run.devices.shard(batch)
        counted, _ = run.refresh_step(counted, run.resident, sharded, run.rng)
    return counted[0]


def _score_validation(run: Run, state: TrainState, stop: StopRequest) -> Row | None:
    """Scores of the validation split; None if a signal came before they were whole."""
    assert run.validation is not None
    options = run.config.evaluation
    scored = scoring.score_split(
        run.eval_step,
        run.fold(state.evaluated),
        run.validation,
        task=run.parts.task,
        devices=run.devices,
        batch_size=options.batch_size,
        windows=experiment.windows_of(run.config),
        resident=run.validation_resident,
        stop=lambda: stop.signal is not None,
    )
    if scored is None:
        return None
    summary = run.report.summarise(
        scored, run.validation, run.parts.task, options.empty
    )
    return {f"validation_{name}": value for name, value in summary.items()}


def _show(bar: TrainingBar, step: int, progress: Progress) -> None:
    loss = epochs.mean_losses(progress)["loss"] if progress.sums else None
    bar.show(step, loss, progress.history)


def _log_epoch(
    run: Run, logs: SummaryWriter, row: dict[str, Any], clock: Clock
) -> None:
    """A line for the reader, the same numbers for TensorBoard."""
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
