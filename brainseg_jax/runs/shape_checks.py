"""Refuses sizes, parts and windows that a net or a task cannot have."""

from ml_collections import ConfigDict

from brainseg_jax import models, registry, tasks
from brainseg_jax.inference import mirroring


def check_size(size: tuple[int, ...], model: str) -> None:
    """A net of volumes would otherwise be built for slices, without a word."""
    forms = getattr(registry.find(models, model), "PUBLISHED", {}).values()
    known = sorted({len(form.shape) - 1 for form in forms})
    if known and len(size) not in known:
        axes = " or ".join(str(number) for number in known)
        raise ValueError(
            f"config.data.size has {len(size)} numbers, {size}, but "
            f"config.model.name={model} takes images of {axes} dimensions. (On the "
            "command line, a key given twice has both values.)"
        )
    if len(size) not in mirroring.MIRRORS:
        raise ValueError(
            f"config.data.size is {size}; it has 2 numbers for slices, 3 for volumes."
        )
    if any(number < 1 for number in size):
        raise ValueError(f"config.data.size is {size}; each has to be 1 or more.")


def check_patch(patch: tuple[int, ...], size: tuple[int, ...], task: str) -> None:
    if patch and "labels" in registry.find(tasks, task).NAMED_BY:
        raise ValueError(
            f"config.data.patch is {patch}, but config.task.name={task} is about "
            "whole images: a part of one need not show what its label says. Set it to ()."
        )
    if patch and (len(patch) != len(size) or min(patch) < 1):
        raise ValueError(
            f"config.data.patch is {patch}; it has {len(size)} numbers of 1 or more, like "
            "config.data.size, or none."
        )


def check_neighbours(config: ConfigDict) -> None:
    reach, axes = config.data.neighbours, len(config.data.size)
    if reach and axes != 2:
        raise ValueError(
            f"config.data.neighbours is {reach}, but config.data.size has {axes} numbers: "
            "a model of volumes sees neighbouring slices anyway. Set it to 0."
        )
    if reach and config.augment.channel_dropout:
        raise ValueError(
            f"config.data.neighbours is {reach}, but config.augment.channel_dropout="
            f"{config.augment.channel_dropout} would drop a channel of one slice and not "
            "of those next to it. Set one of them to 0."
        )


def check_window(config: ConfigDict) -> None:
    options, size = config.evaluation, tuple(config.data.size)
    window = tuple(options.window)
    if window and config.task.name != "segmentation":
        raise ValueError(
            f"config.evaluation.window is {window}, but config.task.name="
            f"{config.task.name} is about whole images. Set it to ()."
        )
    if window and (len(window) != len(size) or min(window) < 1):
        raise ValueError(
            f"config.evaluation.window is {window}; it has {len(size)} numbers of 1 or "
            "more, like config.data.size, or none."
        )
    if not 0 <= options.overlap < 1:
        raise ValueError(
            f"config.evaluation.overlap is {options.overlap}; it has to be 0 or more and "
            "below 1."
        )
    if options.window_batch < 1:
        raise ValueError(
            f"config.evaluation.window_batch is {options.window_batch}; it has to be 1 "
            "or more."
        )
