"""Convolutions with the parameters of Flax's, in the forms that are fastest to compute."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import conv3, resampling, slicewise

INITIALISERS: dict[str, Initializer] = {
    "he_normal": nn.initializers.he_normal(),
    "he_uniform": nn.initializers.he_uniform(),
    "glorot_normal": nn.initializers.glorot_normal(),
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "he_normal_out": nn.initializers.variance_scaling(
        2.0, "fan_out", "truncated_normal"
    ),
    # Up to 1 / sqrt(fan in), where PyTorch's convolutions start.
    "pytorch_uniform": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
}


class Conv(nn.Module):
    """A convolution of as many dimensions as its image; 1x1 ones run as a matmul.

    Its parameters are those of nn.Conv: kernel [*size, in, out] and bias [out].
    `padding` is "SAME" or the zeros on every side.
    """

    features: int
    size: int = 3
    strides: int = 1
    padding: str | int = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = INITIALISERS["glorot_uniform"]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        space = image.ndim - 2
        shape = (*(self.size,) * space, image.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        image = image.astype(self.dtype)
        if self.size == 1:
            image = image[(slice(None), *(slice(None, None, self.strides),) * space)]
            image = jnp.einsum("...c,cf->...f", image, _matrix(kernel, image))
        elif (self.size, self.strides) == (3, 1) and self.padding in ("SAME", 1):
            image = conv3.conv3(image, kernel.astype(self.dtype))
        elif image.ndim == 5 and self.padding == "SAME":
            image = slicewise.convolve(image, kernel.astype(self.dtype), self.strides)
        else:
            image = jax.lax.conv_general_dilated(
                image,
                kernel.astype(self.dtype),
                (self.strides,) * space,
                _padding(self.padding, space),
                dimension_numbers=conv3.dimensions(space),
            )
        if not self.use_bias:
            return image
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return image + per_channel(bias, image)


class DepthwiseConv(nn.Module):
    """One small kernel [height, width, 1, c] for each channel, "SAME", without bias."""

    size: int = 3
    strides: int = 1
    kernel_init: Initializer = INITIALISERS["glorot_uniform"]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"]
    ) -> Float[Array, "n less_h less_w c"]:
        shape = (self.size, self.size, 1, image.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        return depthwise(image.astype(self.dtype), kernel, self.strides)


class ConvTranspose(nn.Module):
    """Doubles every spatial axis; parameters and values of nn.ConvTranspose, "SAME".

    The kernel [*size, in, out] is applied flipped, as there, and `size` is 2 or 3. All
    pixels of a doubled one are computed as channels, which are then laid out in space (Shi
    et al. 2016, arXiv 1609.05158): with size 2 by a matmul, since no windows overlap, 1.5
    times faster to train on a CPU; with size 3 by a plain convolution of 2, 6 to 30 times.
    """

    features: int
    size: int = 2
    use_bias: bool = True
    kernel_init: Initializer = INITIALISERS["glorot_uniform"]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        space = image.ndim - 2
        shape = (*(self.size,) * space, image.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        image = image.astype(self.dtype)
        if self.size == 2:
            matrix = jnp.moveaxis(jnp.flip(kernel, range(space)), -2, 0)
            image = jnp.einsum(
                "...c,cf->...f", image, matrix.reshape(image.shape[-1], -1)
            )
        elif self.size == 3:
            image = jax.lax.conv_general_dilated(
                image,
                _by_parity(kernel),
                (1,) * space,
                ((1, 0),) * space,
                dimension_numbers=conv3.dimensions(space),
            )
        else:
            raise ValueError(f"No transposed convolution of size {self.size}: 2 or 3.")
        image = _spread(image)
        if not self.use_bias:
            return image
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return image + per_channel(bias, image)


class Kernel1x1(nn.Module):
    """Parameters of a 1x1 convolution, apart from what is computed with them.

    So one matmul can serve several of them, or only some of a kernel's input channels.
    The kernel is shaped (1, 1, in, out), like any other convolution's.
    """

    features: int
    kernel_init: Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(
        self, image: Float[Array, "n *space c"], *more: Float[Array, "n *bigger d"]
    ) -> tuple[Float[Array, "*ones channels f"], Float[Array, " f"]]:
        """Kernel and bias for the concatenated channels of all images."""
        channels = sum(part.shape[-1] for part in (image, *more))
        shape = (*(1,) * (image.ndim - 2), channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,))


def conv1x1(
    image: Float[Array, "n *space c"],
    kernel: Float[Array, "*ones c f"],
    bias: Float[Array, " f"],
) -> Float[Array, "n *space f"]:
    """A 1x1 convolution as a matmul over channels, much faster on a CPU; bias added."""
    image = jnp.einsum("...c,cf->...f", image, _matrix(kernel, image))
    return image + per_channel(bias, image)


def conv1x1_of_upsampled(
    low: Float[Array, "n *half c"],
    skip: Float[Array, "n *space d"],
    kernel: Float[Array, "*ones c_plus_d f"],
    bias: Float[Array, " f"],
) -> Float[Array, "n *space f"]:
    """A 1x1 convolution of concatenate([upsample_nearest(low), skip]), never made.

    Repeating pixels and mixing channels commute, so `low` is mixed at its own size.
    """
    of_low, of_skip = jnp.split(_matrix(kernel, low), [low.shape[-1]])
    low = jnp.einsum("...c,cf->...f", low, of_low)
    skip = jnp.einsum("...c,cf->...f", skip, of_skip)
    return resampling.upsample_nearest(low) + skip + per_channel(bias, skip)


def depthwise(
    image: Float[Array, "n h w c"], kernel: Float[Array, "k l 1 c"], strides: int
) -> Float[Array, "n less_h less_w c"]:
    """Each channel convolved with its own kernel, in the form its platform is fast at.

    XLA's grouped convolution is slow on a CPU; there it is a sum of shifted images, which
    measured 25 to 40 times faster forward and 2 to 9 times backward (EfficientNet's sizes).
    """
    return jax.lax.platform_dependent(
        image,
        kernel,
        cpu=functools.partial(depthwise_shifted, strides=strides),
        default=functools.partial(depthwise_grouped, strides=strides),
    )


def depthwise_grouped(
    image: Float[Array, "n h w c"], kernel: Float[Array, "k l 1 c"], strides: int
) -> Float[Array, "n less_h less_w c"]:
    """As one convolution of as many groups as channels."""
    return jax.lax.conv_general_dilated(
        image,
        kernel,
        (strides, strides),
        "SAME",
        dimension_numbers=conv3.dimensions(2),
        feature_group_count=image.shape[-1],
    )


def depthwise_shifted(
    image: Float[Array, "n h w c"], kernel: Float[Array, "k l 1 c"], strides: int
) -> Float[Array, "n less_h less_w c"]:
    """As a sum of images, one shifted and weighed for each pixel of the kernel."""
    height, width = kernel.shape[:2]
    margins = jax.lax.padtype_to_pads(
        image.shape[1:3], (height, width), (strides, strides), "SAME"
    )
    image = jnp.pad(image, ((0, 0), *margins, (0, 0)))
    down, right = (
        (padded - size) // strides * strides + 1
        for padded, size in zip(image.shape[1:3], (height, width), strict=True)
    )
    shifted = (
        image[:, i : i + down : strides, j : j + right : strides]
        * per_channel(kernel[i, j, 0], image)
        for i in range(height)
        for j in range(width)
    )
    return functools.reduce(jnp.add, shifted)


def _by_parity(kernel: Float[Array, "*threes c f"]) -> Float[Array, "*twos c f_each"]:
    """A transposed kernel of 3 as one of 2 that gives every pixel of a doubled one.

    Along an axis, outputs 2m are kernel[0] x[m - 1] + kernel[2] x[m], outputs 2m + 1
    are kernel[1] x[m].
    """
    space = kernel.ndim - 2
    for axis in range(space):
        first, middle, last = jnp.moveaxis(kernel, 2 * axis, 0)
        pairs = jnp.stack([first, jnp.zeros_like(first), last, middle])
        pairs = pairs.reshape(2, 2, *first.shape)
        kernel = jnp.moveaxis(pairs, (0, 1), (2 * axis, 2 * axis + 1))
    # [tap, parity] of each axis, in, out
    taps, parities = range(0, 2 * space, 2), range(1, 2 * space, 2)
    kernel = kernel.transpose(*taps, 2 * space, *parities, 2 * space + 1)
    return kernel.reshape(*(2,) * space, kernel.shape[space], -1)


def _spread(image: Float[Array, "n *half f_each"]) -> Float[Array, "n *space f"]:
    """Doubles an image whose channels hold each pixel's window, [*twos, f] in order."""
    n, *space, _ = image.shape
    count = len(space)
    image = image.reshape(n, *space, *(2,) * count, -1)
    pairs = [axis for k in range(count) for axis in (1 + k, 1 + count + k)]
    image = image.transpose(0, *pairs, 1 + 2 * count)
    return image.reshape(n, *(2 * size for size in space), -1)


def _padding(padding: str | int, space: int) -> str | Sequence[tuple[int, int]]:
    return padding if isinstance(padding, str) else ((padding, padding),) * space


def _matrix(kernel: Array, image: Array) -> Array:
    """A 1x1 kernel without its ones, in the image's type."""
    return kernel.reshape(kernel.shape[-2:]).astype(image.dtype)


def per_channel(vector: Array, image: Array) -> Array:
    """One value per channel, ready to be combined with the image."""
    return jnp.expand_dims(vector.astype(image.dtype), range(image.ndim - 1))
