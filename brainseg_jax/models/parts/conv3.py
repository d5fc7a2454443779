"""3x3 and 3x3x3 convolutions of stride 1, "SAME", in forms that every platform is fast at.

A GPU or TPU runs XLA's own. What a CPU runs instead, and why:

* The gradient of a kernel: a form of kernel_gradients.
* A convolution of few channels, forward or as the gradient of its image: with one row of
  zeros more (`with_another_row`).
* Three axes: one convolution over two axes, of the slices above, at and beneath each.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import kernel_gradients

# Products of a row, and of the whole, between which another row is worth it.
ROW, WHOLE = 2**19, 2**22


def conv3(
    image: Float[Array, "n *space c"], kernel: Float[Array, "*threes c f"]
) -> Float[Array, "n *space f"]:
    """A 3x3 or 3x3x3 convolution of stride 1, "SAME", and its gradients."""
    if image.ndim == 4:
        form = kernel_gradients.fastest(image.shape, kernel.shape, image.dtype)
        return _conv3_by(form, image, kernel)
    return jax.lax.platform_dependent(image, kernel, cpu=_of_slices, default=direct)


def direct(image: Array, kernel: Array) -> Array:
    """XLA's own."""
    space = image.ndim - 2
    return jax.lax.conv_general_dilated(
        image, kernel, (1,) * space, "SAME", dimension_numbers=dimensions(space)
    )


def direct_kernel_gradient(
    image: Float[Array, "n h w c"], change: Float[Array, "n h w f"]
) -> Float[Array, "3 3 c f"]:
    """XLA's own gradient of a 3x3 kernel; `change` is that of the output."""
    shape = (3, 3, image.shape[-1], change.shape[-1])
    _, of_kernel = jax.vjp(
        lambda kernel: direct(image, kernel), jnp.zeros(shape, image.dtype)
    )
    return of_kernel(change)[0]


def with_another_row(
    image: Float[Array, "n h w c"], kernel: Float[Array, "3 3 c f"]
) -> Float[Array, "n h w f"]:
    """The same values, by the library that XLA takes where an output exceeds its image.

    With jax 0.10 that is Eigen instead of YNNPACK, which would use one core alone.
    """
    padded = jax.lax.conv_general_dilated(
        image, kernel, (1, 1), ((1, 2), (1, 1)), dimension_numbers=dimensions(2)
    )
    return padded[:, :-1]


def is_narrow(
    image_shape: Sequence[int], kernel_shape: Sequence[int], dtype: DTypeLike
) -> bool:
    """Whether another row measured faster for such a layer, on two cores of a CPU."""
    *_, channels, features = kernel_shape
    n, height, width = image_shape[:3]
    products = channels * features
    return (
        jnp.dtype(dtype) == jnp.float32
        and min(channels, features) >= 16
        and max(width, 32) * products < ROW
        and n * height * width * products >= WHOLE
    )


def _conv3(image: Array, kernel: Array) -> Array:
    if not is_narrow(image.shape, kernel.shape, image.dtype):
        return direct(image, kernel)
    return jax.lax.platform_dependent(
        image, kernel, cpu=with_another_row, default=direct
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv3_by(form: str, image: Array, kernel: Array) -> Array:
    """The convolution, with its kernel's gradient in this form on a CPU."""
    return _conv3(image, kernel)


def _forward(form: str, image: Array, kernel: Array) -> tuple[Array, tuple]:
    return _conv3(image, kernel), (image, kernel)


def _backward(form: str, kept: tuple, change: Array) -> tuple[Array, Array]:
    image, kernel = kept
    if form == kernel_gradients.DIRECT:
        of_kernel = direct_kernel_gradient(image, change)
    else:
        of_kernel = jax.lax.platform_dependent(
            image,
            change,
            cpu=kernel_gradients.FORMS[form],
            default=direct_kernel_gradient,
        )
    return _image_gradient(kernel, change), of_kernel


_conv3_by.defvjp(_forward, _backward)


def _image_gradient(kernel: Array, change: Array) -> Array:
    """The gradient of the image: `change` convolved with the kernel turned round."""

    def directly(kernel: Array, change: Array) -> Array:
        shape = (*change.shape[:-1], kernel.shape[-2])
        _, of_image = jax.vjp(
            lambda image: direct(image, kernel), jnp.zeros(shape, change.dtype)
        )
        return of_image(change)[0]

    def turned(kernel: Array, change: Array) -> Array:
        return with_another_row(change, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))

    if not is_narrow(change.shape, kernel.shape, change.dtype):
        return directly(kernel, change)
    return jax.lax.platform_dependent(kernel, change, cpu=turned, default=directly)


@jax.checkpoint
def _of_slices(
    image: Float[Array, "n d h w c"], kernel: Float[Array, "3 3 3 c f"]
) -> Float[Array, "n d h w f"]:
    """One convolution over two axes, whose channels are those of three slices.

    Of image or output the one of fewer channels is taken three times; what is taken is not
    kept for the backward pass.
    """
    n, depth, height, width, channels = image.shape
    features = kernel.shape[-1]
    slices = (n * depth, height, width, -1)
    if channels <= features:
        image = jnp.concatenate(_neighbours(image), -1).reshape(slices)
        kernel = jnp.concatenate(list(kernel), 2)
        return conv3(image, kernel).reshape(n, depth, height, width, features)
    joined = conv3(image.reshape(slices), jnp.concatenate(list(kernel), -1))
    parts = jnp.split(joined.reshape(n, depth, height, width, -1), 3, -1)
    placed = (_neighbours(part)[k] for k, part in enumerate(parts))
    return functools.reduce(jnp.add, placed)


def _neighbours(image: Float[Array, "n d *rest"]) -> list[Array]:
    """The slice above each, each, and the one beneath; zeros beyond the ends."""
    depth = image.shape[1]
    padded = jnp.pad(image, ((0, 0), (1, 1), *((0, 0),) * (image.ndim - 2)))
    return [padded[:, start : start + depth] for start in range(3)]


def dimensions(space: int) -> tuple[str, str, str]:
    """Axes of image, kernel and output of a convolution."""
    axes = "DHW"[-space:]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"
