"""What a forward pass costs, from shapes alone: nothing is compiled or computed."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

# Counted as for a GPU wherever this runs: there a convolution is one operation, where the
# forms that are faster on a CPU are several.
PLATFORM = "cuda"


def gflop(model: nn.Module, variables: Any, shape: tuple[int, ...]) -> float:
    """Multiplications and additions for images of `shape` [n, *space, c], in 10 ** 9."""
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    traced = jax.jit(model.apply).trace(variables, image)
    cost: Any = traced.lower(lowering_platforms=(PLATFORM,)).cost_analysis()
    return cost["flops"] / 1e9
