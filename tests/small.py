"""Experiments cut down to seconds."""

from ml_collections import ConfigDict

from brainseg_jax import models, registry


def shrink(config: ConfigDict) -> ConfigDict:
    """The same experiment, changed in place: two epochs of a small net on small images."""
    options = config.model.options.to_dict()
    changed = registry.find(models, config.model.name).small(options)
    return shrink_to(config, {**options, **changed})


def shrink_to(config: ConfigDict, options: dict) -> ConfigDict:
    """The same with these options of the model, of which no file is imported."""
    with config.unlocked():
        # Volumes are trained on in parts and scored in windows, as large as both.
        size = (32,) * len(config.data.size)
        config.data.size = size
        config.data.patch = size if config.data.patch else ()
        config.evaluation.window = size if config.evaluation.window else ()
        config.batch_size = 8
        config.evaluation.batch_size = 8
        config.evaluation.every_epochs = 1
        config.epochs = 2
        config.schedule.warmup_steps = 0
        config.model.options = options
    return config
