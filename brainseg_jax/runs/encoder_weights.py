"""What published weights ask of a config, and how they come into a fresh state."""

import copy
from collections.abc import Mapping

from flax import linen as nn
from ml_collections import ConfigDict

from brainseg_jax import models, registry
from brainseg_jax.data import normalise
from brainseg_jax.models.parts import encoders
from brainseg_jax.runs import restore
from brainseg_jax.runs.records import About
from brainseg_jax.training import freezing, state
from brainseg_jax.weights import pretrained


def resolve(config: ConfigDict, about: About | None = None) -> ConfigDict:
    """The config with the model options that its encoder's published weights ask for.

    A run that goes on takes them from `about`, which its record holds. A run that starts
    from another run takes them from that run's record. Neither needs the file of the
    published weights.

    Raises:
        ValueError: if a setting does not go with the weights, if there are none of this
            encoder, or if the file does not hold any of it.
        FileNotFoundError: if config.init_from holds no checkpoint.
        OSError: if the file of the weights cannot be read.
    """
    source, resolved = config.model.encoder_weights, copy.deepcopy(config)
    if source:
        _check_source(config)
    if about is not None:
        asked = _asked(about)
    elif source:
        asked = pretrained.asked_options(encoder_of(config), source)
    elif config.init_from and _encoder_name(config) in encoders.names():
        asked = _asked(restore.read_best(config.init_from).about)
    else:
        asked = {}
    fields = registry.find(models, config.model.name).Model.__dataclass_fields__
    options = resolved.model.options
    if about is None:
        _check_range(config, asked)
    with options.unlocked():
        for key, value in asked.items():
            if key not in options and key in fields:
                options[key] = value
            elif source and about is None and options[key] != value:
                raise ValueError(
                    f"config.model.options.{key} is {options[key]!r}, but the weights of "
                    f"config.model.encoder_weights={source} need {value!r}; leave it out."
                )
    return resolved


def _asked(about: About) -> dict[str, str]:
    """What published weights asked of the model of an earlier run."""
    options = about.config["model"]["options"]
    return {name: options[name] for name in pretrained.ASKED if name in options}


def _check_range(config: ConfigDict, asked: Mapping[str, str]) -> None:
    """Refuses other intensities than a preprocessing of published weights is made for."""
    given = {"preprocessing": "none", **asked, **config.model.options.to_dict()}
    wanted, normalisation = given["preprocessing"], config.data.normalisation.name
    if wanted != "none" and normalisation not in normalise.ZERO_TO_ONE:
        raise ValueError(
            f"The encoder's preprocessing {wanted!r} expects images of 0 to 1, but "
            f"config.data.normalisation.name is {normalisation!r}; set it to "
            f"{' or '.join(normalise.ZERO_TO_ONE)}, best as in the run that the weights "
            "come from."
        )


def _check_source(config: ConfigDict) -> None:
    if config.init_from:
        raise ValueError(
            "config.init_from and config.model.encoder_weights both say where the "
            "encoder starts; leave one out."
        )
    if config.data.normalisation.name not in normalise.ZERO_TO_ONE:
        raise ValueError(
            "Published weights expect images of 0 to 1, but config.data.normalisation is "
            f"{config.data.normalisation.name!r}; set config.data.normalisation.name to "
            f"{' or '.join(normalise.ZERO_TO_ONE)} (the encoder then does what its "
            "weights were trained with)."
        )


def encoder_of(config: ConfigDict) -> str:
    """The architecture of a model's encoder; a classifier's is its own.

    Raises:
        ValueError: if there are no published weights of it.
    """
    name = _encoder_name(config)
    if name not in encoders.names():
        raise ValueError(
            f"There are no published weights of {name}, the encoder of this "
            f"{config.model.name}; set config.model.options.encoder to one of "
            f"{', '.join(encoders.names())}, or leave config.model.encoder_weights out."
        )
    return name


def _encoder_name(config: ConfigDict) -> str:
    name, options = config.model.name, config.model.options.to_dict()
    default = getattr(registry.find(models, name).Model, "encoder", "")
    return {"encoder": default, **options}["encoder"] or name


def encoder_name(model: nn.Module) -> str:
    """The architecture of the part that is called "encoder"; a plain one is its net's."""
    own = type(model).__module__.rpartition(".")[2]
    return getattr(model, "encoder", "") or own


def place(fresh: state.TrainState, architecture: str, source: str) -> state.TrainState:
    """`fresh` with the published weights of its encoder."""
    trees = {
        name: tree[freezing.ENCODER]
        for name in ("params", "batch_stats")
        if freezing.ENCODER in (tree := getattr(fresh, name))
    }
    loaded = pretrained.load_weights(architecture, source, trees)
    taken = {
        name: {**getattr(fresh, name), freezing.ENCODER: tree}
        for name, tree in loaded.items()
    }
    started = fresh.replace(**taken)
    if not fresh.average:
        return started
    average = state.copy_average(started.params, started.batch_stats)
    return started.replace(average=average)
