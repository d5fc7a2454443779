"""What a step does first with a batch: what lies on the device taken, images normalised."""

import jax.numpy as jnp
from jaxtyping import Array

from brainseg_jax.data import normalise

Batch = dict[str, Array]


def assemble(resident: Batch, batch: Batch) -> Batch:
    """The batch with what lies on the device taken by index, and its image normalised."""
    taken = {
        name: jnp.take(values, batch["index"], axis=0, mode="clip")
        for name, values in resident.items()
    }
    batch = {**batch, **taken}
    if "share" in batch:
        batch["share"] = batch["share"].astype(jnp.float32) / 255
    return {**batch, "image": normalise.apply(batch["image"], batch["scaling"])}
