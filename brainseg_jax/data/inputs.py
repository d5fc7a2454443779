"""What a step does first with a batch: what lies on the device taken, images normalised."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Num

from brainseg_jax.data import normalise

Batch = dict[str, Array]
CUT = ("image", "share")  # what patches are parts of


def assemble(resident: Batch, batch: Batch, patch: Sequence[int] = ()) -> Batch:
    """The batch with what lies on the device taken by index, and its image normalised.

    Where the batch says at which corner, what is taken are parts of the size `patch`.
    Where "together" lies on the device, an image is joined from the slices that it says.
    """
    taken = {
        name: _parts(values, batch, patch)
        if name in CUT and "corner" in batch
        else jnp.take(values, batch["index"], axis=0, mode="clip")
        for name, values in resident.items()
    }
    if "together" in taken:
        taken["image"] = _joined(resident["image"], taken.pop("together"))
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


def _joined(
    slices: Num[Array, "m h w c"], together: Int32[Array, "n s"]
) -> Num[Array, "n h w d"]:
    """As data/neighbours.py joins them."""
    taken = jnp.take(slices, together, axis=0, mode="clip")
    ordered = jnp.moveaxis(taken, 1, 3)
    return ordered.reshape(*ordered.shape[:3], -1)
