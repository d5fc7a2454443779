"""Several models as one: its probabilities are the mean of theirs."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALLEST = 1e-7  # probability, so that a logit is finite


class Ensemble(nn.Module):
    """Logits of the mean probability of models with the same outputs.

    Its variables are theirs, each under its place's name: members_0, members_1, ...
    """

    members: tuple[nn.Module, ...]
    # A softmax over all outputs, else a sigmoid each; of two heads of each
    exclusive: Any

    def __call__(
        self, image: Float[Array, "n *space c"], *, train: bool = False, keys=None
    ) -> Any:
        logits = [model(image) for model in self.members]
        return jax.tree.map(mean_logits, self.exclusive, *logits)


def mean_logits(exclusive: bool, *logits: Float[Array, "n *space c"]) -> Array:
    """Logits of the mean of several models' probabilities."""
    stacked = jnp.stack(logits)
    if exclusive:
        mean = jax.nn.softmax(stacked).mean(0)
        return jnp.log(jnp.maximum(mean, SMALLEST))
    mean = jax.nn.sigmoid(stacked).mean(0)
    clipped = jnp.clip(mean, SMALLEST, 1 - SMALLEST)
    return jnp.log(clipped) - jnp.log1p(-clipped)


def part(variables: dict, count: int) -> list[dict]:
    """The variables of each of the `count` members of an Ensemble: the way back of join."""
    names = [f"members_{place}" for place in range(count)]
    return [
        {kind: own[name] for kind, own in variables.items() if name in own}
        for name in names
    ]


def join(variables: list[dict]) -> dict:
    """The variables of an Ensemble of models with these."""
    kinds = {kind for of_one in variables for kind in of_one}
    return {
        kind: {
            f"members_{place}": of_one[kind]
            for place, of_one in enumerate(variables)
            if kind in of_one
        }
        for kind in kinds
    }
