"""TrainState: everything a training step reads and replaces."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

Tree = Any


class TrainState(flax.struct.PyTreeNode):
    step: Int[Array, ""]
    params: Tree
    batch_stats: Tree
    opt_state: Tree
    average: Tree  # moving average of the variables; {} where there is none
    rate_scale: Float[Array, ""]  # what reduce-on-plateau has left of the rate

    @property
    def variables(self) -> dict[str, Tree]:
        """What training applies the model with."""
        return _variables(self.params, self.batch_stats)

    @property
    def evaluated(self) -> dict[str, Tree]:
        """What evaluation applies the model with: the averages where kept."""
        return self.average or self.variables


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    rng: jax.Array,
    shape: tuple[int, ...],
    *,
    average: bool = False,
) -> TrainState:
    """Initial state for images of `shape` [1, *space, channels]."""
    variables = jax.jit(model.init)(rng, jnp.zeros(shape))
    params = variables["params"]
    batch_stats = variables.get("batch_stats", {})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        # A copy: the state is donated, and a buffer can be given away only once.
        average=copy_average(params, batch_stats) if average else {},
        rate_scale=jnp.ones(()),
    )


def copy_average(params: Tree, batch_stats: Tree) -> dict[str, Tree]:
    """Where a moving average begins: at copies of weights and statistics."""
    return jax.tree.map(jnp.copy, _variables(params, batch_stats))


def count(tree: Tree) -> int:
    """Numbers in a tree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _variables(params: Tree, batch_stats: Tree) -> dict[str, Tree]:
    return {"params": params} | ({"batch_stats": batch_stats} if batch_stats else {})
