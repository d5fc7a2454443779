"""What the architectures share, in 2D and 3D alike; channels are always last."""

import functools
import zlib
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

AXES = {2: "height and width", 3: "depth, height and width"}


def check_size(image: Float[Array, "n *space c"], halvings: int, model: str) -> None:
    """Refuses a size that would not come back after `halvings` poolings."""
    space, multiple = image.shape[1:-1], 2**halvings
    if any(size % multiple for size in space):
        raise ValueError(
            f"{model} halves its input {halvings} times, so {AXES[len(space)]} must be "
            f"multiples of {multiple}; got {' x '.join(map(str, space))}."
        )


def batch_norm(
    train: bool, dtype: DTypeLike, axis_name: str | None
) -> Callable[..., nn.BatchNorm]:
    """Keras's batch normalisation, only its name left open; call the result with one.

    In training it spans the devices of `axis_name`. Parameters, statistics and the
    sums behind them are float32, the output is `dtype`.
    """
    return functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=0.99,
        epsilon=1e-3,
        dtype=dtype,
        axis_name=axis_name,
    )


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
    return image + _channels(bias, image)


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
    return upsample_nearest(low) + skip + _channels(bias, skip)


def max_pool(image: Float[Array, "n *space c"]) -> Float[Array, "n *half c"]:
    """Largest of each 2x2 (or 2x2x2) window; an odd last row or column is dropped.

    The maximum of strided slices has a faster gradient than nn.max_pool, which gives
    it all to the first of equal pixels; here equal pixels share it.
    """
    for axis in range(1, image.ndim - 1):
        even = image.shape[axis] // 2 * 2
        halves = (
            jax.lax.slice_in_dim(image, start, even, 2, axis=axis) for start in (0, 1)
        )
        image = jnp.maximum(*halves)
    return image


def upsample_nearest(image: Float[Array, "n *space c"]) -> Float[Array, "n *double c"]:
    """Repeats every pixel twice along every spatial axis."""
    for axis in range(1, image.ndim - 1):
        image = jnp.repeat(image, 2, axis=axis)
    return image


def dropout(
    image: Float[Array, "n *space c"], rate: float, keys: Key[Array, " n"], name: str
) -> Float[Array, "n *space c"]:
    """Zeroes a share `rate` of each example and scales up the rest; for training only.

    Each mask comes from its example's own key and the layer's name, so it does not
    depend on the rest of the batch or on how the batch is divided over devices.
    """
    layer = zlib.crc32(name.encode())  # hash() differs from process to process

    def mask(key: Key[Array, ""]) -> Array:
        key = jax.random.fold_in(key, layer)
        return jax.random.bernoulli(key, 1 - rate, image.shape[1:])

    return jnp.where(jax.vmap(mask)(keys), image / (1 - rate), 0)


def _matrix(kernel: Array, image: Array) -> Array:
    """A 1x1 kernel without its ones, in the image's type."""
    return kernel.reshape(kernel.shape[-2:]).astype(image.dtype)


def _channels(bias: Array, image: Array) -> Array:
    """One value per channel, ready to be added to the image."""
    return jnp.expand_dims(bias.astype(image.dtype), range(image.ndim - 1))
