"""What every net is made of, in 2D and 3D alike: styles, checks, dropout, outputs."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import convolutions, options
from brainseg_jax.models.parts.heads import Heads

AXES = {2: "height and width", 3: "depth, height and width"}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "relu6": nn.relu6,
    "leaky_relu": functools.partial(nn.leaky_relu, negative_slope=0.01),
    "silu": nn.silu,
    "gelu": nn.gelu,
    "none": lambda image: image,
}
NORMS = ("batch", "instance", "group", "none")
GROUPS = 8  # of group normalisation, or what divides the channels


class Published(NamedTuple):
    """A form of an architecture that somebody published, and its parameters.

    They are as many as its authors printed; where they printed none, as many as a net has
    that was built from their code or paper in another framework. A name that ends in "ours"
    is of a form that nobody published, one in "reconstructed" of a form whose code is lost:
    both counts are our own.
    """

    parameters: int  # statistics of normalisations included, as Keras counts
    shape: tuple[int, ...]  # of one image, [*space, channels]
    outputs: int | Heads
    options: Mapping[str, Any] = MappingProxyType({})  # of Model


@dataclasses.dataclass(frozen=True)
class Style:
    """What all blocks of a net are made of, bound once; raises BadOption if unknown.

    `norm` is one of NORMS, `activation` "prelu" or one of ACTIVATIONS, `kernel_init` one
    of convolutions.INITIALISERS. Transposed convolutions and outputs start
    Glorot-uniform, as in Keras.
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
            ("kernel_init", tuple(convolutions.INITIALISERS)),
        ):
            options.check_known(field, getattr(self, field), known)
        options.check_share("momentum", self.momentum)
        if self.epsilon <= 0:
            raise options.BadOption(
                "epsilon", f"is {self.epsilon}; it has to be above 0."
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
    ) -> convolutions.Conv:
        """A convolution of this style, to be called with an image; `bias` overrules it."""
        return convolutions.Conv(
            features,
            size,
            strides,
            padding,
            use_bias=self.bias if bias is None else bias,
            kernel_init=convolutions.INITIALISERS[self.kernel_init],
            dtype=self.dtype,
            name=name,
        )

    def normalise(self, image: Array, name: str, *, of: str | None = None) -> Array:
        """The image normalised as `norm` says; called `name` where it has parameters.

        `of` names the convolution beside it whose output the image is, used nowhere else:
        for inference the two become one (see BatchNorm).
        """
        if self.norm == "batch":
            norm = BatchNorm(
                of=of,
                momentum=self.momentum,
                epsilon=self.epsilon,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name=name,
            )
            # Given at the call, where training/freezing.py can change it.
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
        """The image activated; only a PReLU has parameters, under `name`."""
        if self.activation == "prelu":
            return PReLU(name=name)(image)
        return ACTIVATIONS[self.activation](image)

    def dropout(
        self, image: Array, rate: float, keys: Key[Array, " n"] | None, name: str
    ) -> Array:
        """Nothing outside of training; the name has to be the layer's own in its net.

        Raises:
            BadOption: if the rate is below 0, or 1 or more.
            ValueError: if there are no keys in training.
        """
        if not 0 <= rate < 1:
            raise options.BadOption(
                "", f"a dropout of {rate} (of {name}) has to be 0 or more and below 1."
            )
        if not rate or not self.train:
            return image
        if keys is None:
            raise ValueError("Dropout in training needs keys=, one per example.")
        return dropout(image, rate, keys, name)


class BatchNorm(nn.BatchNorm):
    """Flax's, which says what it normalises, as inference/folding.py has to know.

    `of` is the name of the module beside it that holds the kernel: a convolution whose
    output goes here and nowhere else. None where another layer lies between, or several
    outputs are added.
    """

    of: str | None = None


def style_of(model: nn.Module, train: bool) -> Style:
    """The style that a model's fields ask for, those with the names of Style's."""
    own = {field.name for field in dataclasses.fields(Style)}
    asked = {name: getattr(model, name) for name in own if hasattr(model, name)}
    return Style(**asked, train=train)


def check_size(image: Float[Array, "n *space c"], halvings: int, model: str) -> None:
    """Refuses a size that would not come back after `halvings` poolings.

    Raises:
        BadOption: if `halvings` is negative, as of a model without widths.
        ValueError: with the number that each axis has to be a multiple of.
    """
    if halvings < 0:
        raise options.BadOption("widths", f"is empty, which leaves {model} no levels.")
    space, multiple = image.shape[1:-1], 2**halvings
    if any(size % multiple for size in space):
        raise ValueError(
            f"{model} halves its input {halvings} times, so {AXES[len(space)]} must be "
            f"multiples of {multiple}; got {' x '.join(map(str, space))}."
        )


def check_pooled(
    image: Float[Array, "n *space c"], stride: int, pool: str | int, model: str
) -> None:
    """Refuses a size of which a classifier's stride and its head's window leave nothing.

    Raises:
        ValueError: with the smallest size that each axis can have.
    """
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


class PReLU(nn.Module):
    """ReLU with a learnt slope below 0 for each channel (He et al. 2015, 1502.01852)."""

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        slope = self.param("slope", nn.initializers.constant(0.25), image.shape[-1:])
        return jnp.where(
            image >= 0, image, image * convolutions.per_channel(slope, image)
        )


def output(image: Array, features: int) -> Float[Array, "n *space f"]:
    """The last 1x1 convolution, called "output": logits in float32 whatever came before."""
    return convolutions.Conv(features, 1, name="output")(image.astype(jnp.float32))


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
