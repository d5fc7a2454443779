"""What the architectures share, in 2D and 3D alike; channels are always last."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

AXES = {2: "height and width", 3: "depth, height and width"}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "relu6": nn.relu6,
    "leaky_relu": functools.partial(nn.leaky_relu, negative_slope=0.01),
    "silu": nn.silu,
    "gelu": nn.gelu,
    "none": lambda image: image,
}
INITIALISERS: dict[str, Initializer] = {
    "he_normal": nn.initializers.he_normal(),
    "he_uniform": nn.initializers.he_uniform(),
    "glorot_normal": nn.initializers.glorot_normal(),
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "he_normal_out": nn.initializers.variance_scaling(
        2.0, "fan_out", "truncated_normal"
    ),
}
NORMS = ("batch", "instance", "group", "none")
GROUPS = 8  # of group normalisation, or what divides the channels


class Published(NamedTuple):
    """A form of an architecture that somebody published, and what they counted."""

    parameters: int  # statistics of normalisations included, as Keras counts
    shape: tuple[int, ...]  # of one image, [*space, channels]
    outputs: int
    options: dict[str, Any] = {}  # of Model


@dataclasses.dataclass(frozen=True)
class Style:
    """What all blocks of a net are made of, bound once; raises ValueError if unknown.

    `norm` is one of NORMS, `activation` "prelu" or one of ACTIVATIONS, `kernel_init` one
    of INITIALISERS. Transposed convolutions and outputs start Glorot-uniform, as in Keras.
    """

    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = True
    train: bool = False
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    momentum: float = 0.99  # of batch normalisation, which spans axis_name's devices
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        for field, known in (
            ("norm", NORMS),
            ("activation", ("prelu", *ACTIVATIONS)),
            ("kernel_init", tuple(INITIALISERS)),
        ):
            if (value := getattr(self, field)) not in known:
                raise ValueError(
                    f"config.model.options.{field} is {value!r}; "
                    f"it can be {', '.join(known)}."
                )

    def conv(
        self,
        features: int,
        size: int = 3,
        *,
        strides: int = 1,
        padding: str | int = "SAME",
        bias: bool | None = None,
        name: str,
    ) -> "Conv":
        return Conv(
            features,
            size,
            strides,
            padding,
            use_bias=self.bias if bias is None else bias,
            kernel_init=INITIALISERS[self.kernel_init],
            dtype=self.dtype,
            name=name,
        )

    def normalise(self, image: Array, name: str) -> Array:
        if self.norm == "batch":
            norm = nn.BatchNorm(
                momentum=self.momentum,
                epsilon=self.epsilon,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=name,
            )
            # Given at the call, where freezing can change it: brainseg_jax/freeze.py.
            return norm(image, use_running_average=not self.train)
        if self.norm == "instance":
            return nn.InstanceNorm(epsilon=1e-5, dtype=self.dtype, name=name)(image)
        if self.norm == "group":
            groups = math.gcd(GROUPS, image.shape[-1])
            return nn.GroupNorm(groups, epsilon=1e-5, dtype=self.dtype, name=name)(
                image
            )
        return image

    def activate(self, image: Array, name: str) -> Array:
        if self.activation == "prelu":
            return PReLU(name=name)(image)
        return ACTIVATIONS[self.activation](image)

    def dropout(
        self, image: Array, rate: float, keys: Key[Array, " n"] | None, name: str
    ) -> Array:
        """Nothing outside of training; the name has to be the layer's own in its net."""
        if not rate or not self.train:
            return image
        if keys is None:
            raise ValueError("Dropout in training needs keys=, one per example.")
        return dropout(image, rate, keys, name)


def check_size(image: Float[Array, "n *space c"], halvings: int, model: str) -> None:
    """Refuses a size that would not come back after `halvings` poolings."""
    space, multiple = image.shape[1:-1], 2**halvings
    if any(size % multiple for size in space):
        raise ValueError(
            f"{model} halves its input {halvings} times, so {AXES[len(space)]} must be "
            f"multiples of {multiple}; got {' x '.join(map(str, space))}."
        )


def check_pooled(
    image: Float[Array, "n *space c"], stride: int, pool: str | int, model: str
) -> None:
    """Refuses a size of which a classifier's stride and its head's window leave nothing."""
    space, least = image.shape[1:-1], stride * (pool if isinstance(pool, int) else 1)
    if any(size < least for size in space):
        raise ValueError(
            f"{model} needs {AXES[len(space)]} of at least {least}; "
            f"got {' x '.join(map(str, space))}."
        )


def staged(block: type[nn.Module], remat: bool) -> type[nn.Module]:
    """The block, its inner activations computed again in the backward pass if `remat`.

    A stage that is always given a name keeps its parameters' names and values.
    """
    return nn.remat(block) if remat else block


class Conv(nn.Module):
    """A convolution of as many dimensions as its image; 1x1 ones run as a matmul.

    Its parameters are those of nn.Conv: kernel [*size, in, out] and bias [out].
    `padding` is "SAME", "VALID" or the zeros on every side.
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
        else:
            image = jax.lax.conv_general_dilated(
                image,
                kernel.astype(self.dtype),
                (self.strides,) * space,
                _padding(self.padding, space),
                dimension_numbers=_dimensions(space),
            )
        if not self.use_bias:
            return image
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return image + _channels(bias, image)


class DepthwiseConv(nn.Module):
    """One small kernel [height, width, 1, c] for each channel, without bias.

    XLA's grouped convolution is slow on a CPU; there it is a sum of shifted images, which
    measured 25 to 40 times faster forward and 2 to 9 times backward (EfficientNet's sizes).
    """

    size: int = 3
    strides: int = 1
    padding: str | int = "SAME"
    kernel_init: Initializer = INITIALISERS["glorot_uniform"]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Array:
        channels = image.shape[-1]
        shape = (self.size, self.size, 1, channels)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        return jax.lax.platform_dependent(
            image.astype(self.dtype),
            kernel,
            cpu=functools.partial(self._shifted, padding=self.padding),
            default=functools.partial(
                jax.lax.conv_general_dilated,
                window_strides=(self.strides, self.strides),
                padding=_padding(self.padding, 2),
                dimension_numbers=_dimensions(2),
                feature_group_count=channels,
            ),
        )

    def _shifted(self, image: Array, kernel: Array, padding: str | int) -> Array:
        margins = (
            jax.lax.padtype_to_pads(
                image.shape[1:3], kernel.shape[:2], (self.strides,) * 2, padding
            )
            if isinstance(padding, str)
            else _padding(padding, 2)
        )
        image = jnp.pad(image, ((0, 0), *margins, (0, 0)))
        reach = [
            (size - self.size) // self.strides * self.strides + 1
            for size in image.shape[1:3]
        ]
        taps = (
            image[:, i : i + reach[0] : self.strides, j : j + reach[1] : self.strides]
            * _channels(kernel[i, j, 0], image)
            for i in range(self.size)
            for j in range(self.size)
        )
        return functools.reduce(jnp.add, taps)


class ConvTranspose(nn.Module):
    """Doubles every spatial axis; parameters and values of nn.ConvTranspose, "SAME".

    The kernel [*size, in, out] is applied flipped, as there. With size 2 no windows
    overlap: it is a matmul whose channels are then laid out in space (Shi et al. 2016,
    arXiv 1609.05158), 1.5 times faster to train on a CPU.
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
            image = _spread(image, jnp.flip(kernel, range(space)))
        else:
            image = jax.lax.conv_transpose(
                image, kernel, (2,) * space, "SAME",
                dimension_numbers=_dimensions(space),
            )  # fmt: skip
        if not self.use_bias:
            return image
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return image + _channels(bias, image)


class PReLU(nn.Module):
    """ReLU with a learnt slope below 0 for each channel (He et al. 2015, 1502.01852)."""

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        slope = self.param("slope", nn.initializers.constant(0.25), image.shape[-1:])
        return jnp.where(image >= 0, image, image * _channels(slope, image))


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


def output(image: Array, features: int) -> Float[Array, "n *space f"]:
    """The last 1x1 convolution, called "output": logits in float32 whatever came before."""
    return Conv(features, 1, name="output")(image.astype(jnp.float32))


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


def upsample_linear(image: Float[Array, "n *space c"]) -> Float[Array, "n *double c"]:
    """Doubles every spatial axis by linear interpolation between pixel centres.

    Every new pixel is three quarters of the nearest old one and a quarter of the next;
    beyond the edge the edge goes on. The same as jax.image.resize(..., "linear").
    """
    for axis in range(1, image.ndim - 1):
        first, last = (
            jax.lax.slice_in_dim(image, start, start + 1, axis=axis)
            for start in (0, image.shape[axis] - 1)
        )
        inner = functools.partial(jax.lax.slice_in_dim, image, axis=axis)
        before = jnp.concatenate([first, inner(0, image.shape[axis] - 1)], axis)
        after = jnp.concatenate([inner(1, image.shape[axis]), last], axis)
        pair = (0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after)
        shape = (*image.shape[:axis], -1, *image.shape[axis + 1 :])
        image = jnp.stack(pair, axis + 1).reshape(shape)
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


def _spread(image: Array, kernel: Array) -> Array:
    """Every pixel becomes a window of the kernel's size, next to its neighbours'."""
    n, *space, _ = image.shape
    *window, _, features = kernel.shape
    matrix = jnp.moveaxis(kernel, -2, 0).reshape(image.shape[-1], -1)
    image = jnp.einsum("...c,cf->...f", image, matrix)
    image = image.reshape(n, *space, *window, features)
    count = len(space)
    pairs = [axis for k in range(count) for axis in (1 + k, 1 + count + k)]
    image = image.transpose(0, *pairs, 1 + 2 * count)
    sizes = (size * steps for size, steps in zip(space, window, strict=True))
    return image.reshape(n, *sizes, features)


def _padding(padding: str | int, space: int) -> str | Sequence[tuple[int, int]]:
    return padding if isinstance(padding, str) else ((padding, padding),) * space


def _dimensions(space: int) -> tuple[str, str, str]:
    axes = "DHW"[-space:]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def _matrix(kernel: Array, image: Array) -> Array:
    """A 1x1 kernel without its ones, in the image's type."""
    return kernel.reshape(kernel.shape[-2:]).astype(image.dtype)


def _channels(vector: Array, image: Array) -> Array:
    """One value per channel, ready to be combined with the image."""
    return jnp.expand_dims(vector.astype(image.dtype), range(image.ndim - 1))
