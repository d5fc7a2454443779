"""Forms of one layer that compute the same, timed in turns."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.benchmarks import timing


class Timed(NamedTuple):
    """A form: the median over its rounds, and what it computed."""

    milliseconds: float
    result: np.ndarray


def in_turns(
    forms: Mapping[str, Callable[..., jax.Array]], *arrays: np.ndarray, budget: float
) -> dict[str, Timed]:
    """Every form on the same arrays, in rounds for about `budget` seconds."""
    on_device = jax.device_put(arrays)
    compiled = {name: _compile(form, *arrays) for name, form in forms.items()}
    spreads = timing.measure(
        {
            name: functools.partial(_wait_for, form, *on_device)
            for name, form in compiled.items()
        },
        budget,
    )
    return {
        name: Timed(1e3 * spreads[name].median, np.asarray(form(*on_device)))
        for name, form in compiled.items()
    }


def _compile(form: Callable[..., jax.Array], *arrays: np.ndarray) -> Any:
    compiling: Any = parallel.on_one_device(form)
    return compiling.lower(*arrays).compile()


def _wait_for(form: Callable[..., jax.Array], *arrays: jax.Array) -> None:
    jax.block_until_ready(form(*arrays))
