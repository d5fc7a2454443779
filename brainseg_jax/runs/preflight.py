"""What can be said of a run before it starts: before its data are there, before a step."""

import pathlib

from absl import logging
from flax import linen as nn
from ml_collections import ConfigDict

from brainseg_jax.runs import (
    checkpoints,
    checks,
    encoder_weights,
    experiment,
    run_folder,
    transfer,
)
from brainseg_jax.runs.build import Run
from brainseg_jax.training import freezing
from brainseg_jax.training.state import TrainState, count
from brainseg_jax.weights import official


def check(config: ConfigDict, workdir: str) -> None:
    """Refuses what can be told from the config, and fetches weights.

    For before the data are prepared, which may take long; what depends on them, such as
    the channels of images, is checked with them.
    """
    checks.check(config)
    _model(config)
    run_folder.check_writable(pathlib.Path(workdir), "--workdir")
    if not checkpoints.exist(workdir):
        config = encoder_weights.resolve(config)
        # Neither sizes nor names of parts depend on the number of channels.
        model, shape = _model(config), (1, *config.data.size, 3)
        experiment.check_model(
            model, config.task.name, shape, config.optimizer.encoder_rate
        )
        parts = config.model.frozen, config.model.frozen_up_to
        freezing.check(model, shape, freezing.frozen_modules(model, shape, *parts))
        if config.init_from:
            transfer.check_origin(model, config)
        if config.model.encoder_weights == "imagenet":
            official.weights(encoder_weights.encoder_of(config))


def _model(config: ConfigDict) -> nn.Module:
    """Its model, as far as that can be told without data: with one output."""
    return experiment.make_model(
        config.model.name,
        config.model.options.to_dict(),
        outputs=1,
        dtype=config.compute_dtype,
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
    if config.schedule.warmup_steps >= run.total_steps:
        logging.warning(
            "config.schedule.warmup_steps=%d are not over within the %d steps of this "
            "run: the rate only rises, to less than config.schedule.rate.",
            config.schedule.warmup_steps,
            run.total_steps,
        )
