"""Convolutions over three axes, "SAME", of kernels and strides that conv3.py does not have.

A GPU or TPU runs XLA's own. A CPU runs one over two axes, whose channels are those of the
slices that each of the kernel's slices meets: forward 3 to 15 times as fast there, its
gradients 19 to 77 times (kernels of 2, 3 and 5, strides of 1 and 2, two volumes of 24 to 32
voxels a side, 8 to 32 channels, two cores).
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from brainseg_jax.models.parts import conv3


def convolve(
    image: Float[Array, "n d h w c"], kernel: Float[Array, "k k k c f"], strides: int
) -> Float[Array, "n less_d less_h less_w f"]:
    """A convolution that moves on by `strides` voxels, padded as Keras's "SAME"."""
    return jax.lax.platform_dependent(
        image,
        kernel,
        cpu=jax.checkpoint(functools.partial(of_slices, strides=strides)),
        default=functools.partial(direct, strides=strides),
    )


def direct(image: Array, kernel: Array, *, strides: int) -> Array:
    """XLA's own, over as many axes as the image has."""
    space = image.ndim - 2
    return jax.lax.conv_general_dilated(
        image,
        kernel,
        (strides,) * space,
        "SAME",
        dimension_numbers=conv3.dimensions(space),
    )


def of_slices(image: Array, kernel: Array, *, strides: int) -> Array:
    """As one over two axes, of slices beside each other as channels."""
    n, depth, *plane, _ = image.shape
    size = kernel.shape[0]
    ((before, after),) = jax.lax.padtype_to_pads((depth,), (size,), (strides,), "SAME")
    padded = jnp.pad(image, ((0, 0), (before, after), (0, 0), (0, 0), (0, 0)))
    count = -(-depth // strides)
    met = [
        jax.lax.slice_in_dim(padded, k, k + (count - 1) * strides + 1, strides, axis=1)
        for k in range(size)
    ]
    slices = jnp.concatenate(met, -1).reshape(n * count, *plane, -1)
    made = direct(slices, jnp.concatenate(list(kernel), 2), strides=strides)
    return made.reshape(n, count, *made.shape[1:])
