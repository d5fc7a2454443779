"""What a step does first with a batch: what lies on the device taken, images normalised."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from brainseg_jax.data import normalise

Batch = dict[str, Array]
CUT = ("image", "share")  # what patches are parts of


def assemble(resident: Batch, batch: Batch, patch: Sequence[int] = ()) -> Batch:
    """The batch with what lies on the device taken by index, and its image normalised.

    Where the batch says at which corner, what is taken are parts of the size `patch`.
    """
    taken = {
        name: _parts(values, batch, patch)
        if name in CUT and "corner" in batch
        else jnp.take(values, batch["index"], axis=0, mode="clip")
        for name, values in resident.items()
    }
    batch = {**batch, **taken}
    if "share" in batch:
        batch["share"] = batch["share"].astype(jnp.float32) / 255
    return {**batch, "image": normalise.apply(batch["image"], batch["scaling"])}


def _parts(
    values: Num[Array, "n *space c"], batch: Batch, patch: Sequence[int]
) -> Num[Array, "b *patch c"]:
    """Of each example its part at the corner, which lies within."""

    def part(index: Array, corner: Array) -> Array:
        start = (index, *corner, jnp.zeros_like(index))
        sizes = (1, *patch, values.shape[-1])
        return jax.lax.dynamic_slice(values, start, sizes)[0]

    return jax.vmap(part)(batch["index"], batch["corner"])
