"""How exactly devices multiply: set once, at the door of a mode, for all that follows."""

from collections.abc import Mapping
from typing import Any

import jax


def set_precision(config: Mapping[str, Any]) -> None:
    """Sets what a run's or a checkpoint's `config.matmul_precision` says."""
    jax.config.update("jax_default_matmul_precision", config["matmul_precision"])
