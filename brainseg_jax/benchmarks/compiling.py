"""Compiles anew whatever the cache on disk has: how long it takes, and what memory."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from brainseg_jax import parallel


class Compiled(NamedTuple):
    """A function for arguments of one shape, and what making it took."""

    call: Any
    seconds: float  # to trace, lower and compile
    temporary_mib: float | None  # its memory beside arguments and results, where told


def compile_anew(function: Any, *arguments: Any) -> Compiled:
    """Compiles what jax.jit gave for these arguments, without the cache on disk."""
    with without_cache():
        start = time.perf_counter()
        call = parallel.compiled(function.lower(*arguments))
        seconds = time.perf_counter() - start
    memory = call.memory_analysis()
    temporary = None if memory is None else memory.temp_size_in_bytes / 2**20
    return Compiled(call, seconds, temporary)


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Nothing is read from the compilation cache on disk, nor written to it."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        compilation_cache.reset_cache()  # jax asks once whether there is one
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
