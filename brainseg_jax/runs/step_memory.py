"""What a compiled training step takes of a device's memory, told before the first one."""

from collections.abc import Callable
from typing import NamedTuple

from ml_collections import ConfigDict

GIB = 2**30


class StepMemory(NamedTuple):
    """Bytes on each device, as its compiler reckons them."""

    kept: (
        int  # weights, their averages, the optimiser's state, the batch, resident data
    )
    working: int  # what is taken while a step runs, and given back


def of_step(compiled: Callable) -> StepMemory | None:
    """Of what jax compiled ahead of time; None where a platform does not tell."""
    analysis = getattr(compiled, "memory_analysis", lambda: None)()
    if analysis is None:
        return None
    given = analysis.argument_size_in_bytes
    new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return StepMemory(given, analysis.temp_size_in_bytes + max(new, 0))


def sentence(memory: StepMemory, free: int | None) -> str:
    """`free` is what a device has left once all that is kept lies on it."""
    left = "" if free is None else f"; {free / GIB:.2f} GiB are free for that"
    return (
        f"a training step takes about {memory.working / GIB:.2f} GiB of each device's "
        f"memory, beside {memory.kept / GIB:.2f} GiB of weights, optimiser and data{left}"
    )


def advice(config: ConfigDict, memory: StepMemory, free: int | None) -> str:
    """Which keys to change where a step will not fit; nothing where it fits."""
    if free is None or memory.working <= free:
        return ""
    part = "patch" if config.data.patch else "size"
    keys = []
    if config.batch_size > config.accumulate:
        keys.append(
            f"raise config.accumulate={config.accumulate} (the same step in more parts; "
            f"without batch normalisation only) or lower "
            f"config.batch_size={config.batch_size}"
        )
    if not config.model.remat:
        keys.append("set config.model.remat=True")
    if config.compute_dtype == "float32":
        keys.append("set config.compute_dtype=bfloat16")
    keys.append(f"lower config.data.{part}={tuple(config.data[part])}")
    return f"That is more than is free. In this order: {'; '.join(keys)}."
