"""What can be said of a run before it starts: before its data are there, before a step."""

import pathlib

from absl import logging
from ml_collections import ConfigDict

from brainseg_jax import parallel
from brainseg_jax.data.info import Info
from brainseg_jax.runs import (
    channels,
    checkpoints,
    checks,
    data_checks,
    encoder_weights,
    experiment,
    run_folder,
    step_memory,
    transfer,
)
from brainseg_jax.runs.build import Run
from brainseg_jax.training import freezing
from brainseg_jax.training.state import TrainState, count
from brainseg_jax.weights import official


def check_start(config: ConfigDict, folder: pathlib.Path, info: Info) -> None:
    """Refuses what can be told without the data, and fetches published weights.

    For before data are prepared, which may take hours. `info` describes the data set, as
    its builder does. A run that goes on has passed the model's part of it.

    Raises:
        ValueError: naming the key, its value and what it can be.
        OSError: if the folder cannot be written, or weights cannot be had.
    """
    checks.check_settings(config)
    devices = parallel.local_devices(config.parallel.mode, config.batch_size)
    _check_accumulation(config, len(devices.devices))
    run_folder.check_writable(folder, "--workdir")
    if checkpoints.exist(folder):
        return
    config = encoder_weights.resolve(config)
    parts = experiment.make_parts(config, info)
    data_checks.check_metric(config, parts.task, info)
    whole = (1, *(config.evaluation.window or config.data.size), parts.shape[-1])
    for shape in {parts.shape, whole}:  # as trained, and as scored
        experiment.check_model(
            parts.model, config.task.name, shape, config.optimizer.encoder_rate
        )
    if config.accumulate > 1:
        _refuse_statistics(config, parts)
    names = config.model.frozen, config.model.frozen_up_to
    frozen = freezing.frozen_modules(parts.model, parts.shape, *names)
    freezing.require_trainable(parts.model, parts.shape, frozen)
    if config.init_from:
        transfer.check_origin(parts.model, config)
    if config.model.encoder_weights == "imagenet":
        official.weights(encoder_weights.encoder_of(config))


def _check_accumulation(config: ConfigDict, devices: int) -> None:
    if config.batch_size % (config.accumulate * devices):
        raise ValueError(
            f"config.batch_size={config.batch_size} does not split into config.accumulate="
            f"{config.accumulate} parts on each of {devices} devices; use a multiple of "
            f"{config.accumulate * devices}."
        )


def _refuse_statistics(config: ConfigDict, parts: experiment.Parts) -> None:
    """Batch normalisation would see parts of a batch, and the step would be another."""
    collections = {path[0] for path in channels.shapes_of(parts.model, parts.shape)}
    if "batch_stats" in collections:
        raise ValueError(
            f"config.accumulate is {config.accumulate}, but config.model.name="
            f"{config.model.name} normalises by the statistics of whole batches, which "
            "its parts do not have. Set config.accumulate=1, or the norms among "
            "config.model.options to instance or group."
        )


def tell(run: Run, fresh: TrainState) -> None:
    """Logs what is frozen, and warns of settings that a user may not have meant."""
    config = run.config
    if run.frozen:
        still = freezing.count_frozen(fresh.params, run.frozen)
        logging.info(
            "%d of the parameters train, %d are frozen",
            count(fresh.params) - still,
            still,
        )
    if run.frozen and not config.init_from and not config.model.encoder_weights:
        logging.warning(
            "What is frozen keeps the random weights it begins with: neither "
            "config.model.encoder_weights nor config.init_from is given."
        )
    tell_memory(run)
    if config.schedule.warmup_steps >= run.total_steps:
        logging.warning(
            "config.schedule.warmup_steps=%d are not over within the %d steps of this "
            "run: the rate only rises, to less than config.schedule.rate.",
            config.schedule.warmup_steps,
            run.total_steps,
        )


def tell_memory(run: Run) -> None:
    """Logs what a step takes; warns, with the keys to change, where that is too much."""
    if (memory := step_memory.of_step(run.train_step)) is None:
        return
    free = run.devices.free_bytes()
    logging.info("%s", step_memory.sentence(memory, free))
    if advice := step_memory.advice(run.config, memory, free):
        logging.warning("%s", advice)
