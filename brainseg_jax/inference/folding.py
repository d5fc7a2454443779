"""Batch normalisation folded into the convolution before it: inference computes only that.

By running statistics, a convolution of kernel w and bias b and the normalisation after it
are one convolution of kernel f w and bias f (b - mean) + beta, where f is
scale / sqrt(var + epsilon) (Jacob et al. 2018, arXiv 1712.05877, section 3.2). It gives the
same to rounding. Variables are folded once for all images; `apply` takes both kinds.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Float

from brainseg_jax.models.parts import convolutions, layers

Path = tuple[str, ...]
Variables = dict[str, Any]


class Foldable(NamedTuple):
    """A normalisation that goes into a convolution; both by their paths in the model."""

    norm: Path
    convolution: Path
    epsilon: float


def make_fold(
    model: nn.Module, shape: tuple[int, ...]
) -> Callable[[Variables], Variables]:
    """`fold` of the model's variables; `shape` [n, *space, c] is of an image it can take.

    Raises:
        ValueError: if a normalisation is of another image than it says.
    """
    return functools.partial(fold, foldable=find_foldable(model, shape))


def find_foldable(model: nn.Module, shape: tuple[int, ...]) -> list[Foldable]:
    """The model's batch normalisations that say of which convolution they are.

    Raises:
        ValueError: if there is no such convolution beside one, if it normalises something
            else than its output, or if two are of the same.
    """
    outputs: dict[Path, Any] = {}
    found: dict[Path, Foldable] = {}

    def intercept(call, arguments, options, context):
        module, path = context.module, context.module.path
        if isinstance(module, layers.BatchNorm) and module.of is not None:
            convolution = (*path[:-1], module.of)
            others = {
                other.convolution for other in found.values() if other.norm != path
            }
            _check_source(path, convolution, arguments[0], outputs, others)
            found[path] = Foldable(path, convolution, module.epsilon)
        result = outputs[path] = call(*arguments, **options)
        return result

    with nn.intercept_methods(intercept):
        jax.eval_shape(
            model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32)
        )
    return list(found.values())


def _check_source(
    norm: Path,
    convolution: Path,
    image: Any,
    outputs: dict[Path, Any],
    others: set[Path],
) -> None:
    """Whether a normalisation's image is what it says; `outputs` are of all modules so far.

    Of a Kernel1x1 it cannot be seen what was computed with its parameters.
    """
    name, of = "/".join(norm), convolution[-1]
    if convolution not in outputs:
        beside = [path[-1] for path in outputs if path[:-1] == norm[:-1]]
        raise ValueError(
            f"The normalisation {name} is said to be of {of!r}, which is not computed "
            f"beside it; before it there are: {', '.join(beside) or 'none'}."
        )
    made = outputs[convolution]
    if isinstance(made, jax.Array) and made is not image:
        raise ValueError(
            f"The normalisation {name} is said to be of {of!r}, but what it normalises "
            "is another image than that one's output; leave out of=."
        )
    if convolution in others:
        raise ValueError(
            f"The normalisation {name} is said to be of {of!r}, as is another one; "
            "a convolution can only be folded with one."
        )


def fold(variables: Variables, foldable: list[Foldable]) -> Variables:
    """Variables for `apply`, in which nothing is left of what was folded but a bias.

    That is where the convolution has none of its own to put it in. Without its statistics
    a normalisation cannot be computed by mistake, nor be folded twice.
    """
    flat = traverse_util.flatten_dict(variables)
    for norm, convolution, epsilon in foldable:
        mean, var = (flat.pop(("batch_stats", *norm, key)) for key in ("mean", "var"))
        scale = flat.pop(("params", *norm, "scale"), jnp.ones_like(var))
        beta = flat.pop(("params", *norm, "bias"), jnp.zeros_like(mean))
        factor = scale * jax.lax.rsqrt(var + epsilon)
        shift = beta - mean * factor

        kernel, bias = (("params", *convolution, key) for key in ("kernel", "bias"))
        flat[kernel] *= convolutions.per_channel(factor, flat[kernel])
        if bias in flat:
            flat[bias] = flat[bias] * factor + shift
        else:
            flat["params", *norm, "bias"] = shift
    return traverse_util.unflatten_dict(flat)


def apply(
    model: nn.Module, variables: Variables, image: Float[Array, "n *space c"]
) -> Any:
    """The model's logits of normalised images, by variables that were folded or not."""

    def intercept(call, arguments, options, context):
        norm = context.module
        if not isinstance(norm, layers.BatchNorm) or not _is_folded(norm):
            return call(*arguments, **options)
        (image,) = arguments
        bias: Array | None = norm.get_variable("params", "bias")
        return image if bias is None else image + convolutions.per_channel(bias, image)

    with nn.intercept_methods(intercept):
        return model.apply(variables, image)


def _is_folded(norm: layers.BatchNorm) -> bool:
    """Whether neither statistics nor a scale are left; of one alone Flax says it lacks."""
    left = (("batch_stats", "mean"), ("batch_stats", "var"), ("params", "scale"))
    return norm.of is not None and not any(norm.has_variable(*place) for place in left)
