"""PyTorch's side of a comparison, where it is installed."""

import importlib
import importlib.util
from types import ModuleType


def find() -> ModuleType | None:
    """The module of PyTorch's steps, imported only if there is PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    return importlib.import_module("brainseg_jax.benchmarks.torch_steps")


def threads() -> int | None:
    """Of PyTorch, for machine.describe."""
    steps = find()
    return steps.threads() if steps else None
