"""Which parts of a model train, and at whose rate.

A part that is frozen gets no update, no weight decay and no optimiser state; its batch
normalisation goes by its running statistics and leaves them alone, as in Keras. Its dropout
and stochastic depth go on, as there too.
"""

import contextlib
import difflib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Path = tuple[str, ...]
Tree = Any
ENCODER = "encoder"


def frozen_modules(
    model: nn.Module, shape: tuple[int, ...], names: Sequence[str], up_to: str
) -> frozenset[Path]:
    """Paths of all modules in or below `names`, and of those done when `up_to` is done.

    A name is a module's path in the parameters, like "encoder/conv2_block3"; `up_to`
    names one too, "" none. `shape` [n, *space, c] is of an image that the model can take.
    Raises ValueError for a name that is no module's.
    """
    if not names and not up_to:
        return frozenset()
    order = _call_order(model, shape)
    for name in (*names, *([up_to] if up_to else [])):
        if tuple(name.split("/")) not in order:
            _refuse(name, order)
    last = order.index(tuple(up_to.split("/"))) + 1 if up_to else 0
    inside = [tuple(name.split("/")) for name in names]
    below = {path for path in order for top in inside if path[: len(top)] == top}
    return frozenset(below | set(order[:last]))


def require_trainable(
    model: nn.Module, shape: tuple[int, ...], frozen: frozenset[Path]
) -> None:
    """Refuses to train a model of which everything is frozen.

    Raises:
        ValueError: naming the keys that freeze it.
    """
    if not frozen:
        return
    variables = jax.eval_shape(
        model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    if set(jax.tree.leaves(labels(variables["params"], frozen))) == {"frozen"}:
        raise ValueError(
            "config.model.frozen and frozen_up_to leave nothing of the model to train; "
            "leave the head out of them."
        )


@contextlib.contextmanager
def standing_still(frozen: frozenset[Path]):
    """Within it, frozen batch normalisations use their running statistics."""

    def intercept(call, arguments, options, context):
        module = context.module
        if isinstance(module, nn.BatchNorm) and module.path in frozen:
            options = {**options, "use_running_average": True}
        return call(*arguments, **options)

    with nn.intercept_methods(intercept):
        yield


@contextlib.contextmanager
def forgetting():
    """Within it, the statistics of batch normalisations are those of the last batch."""

    def intercept(call, arguments, options, context):
        if isinstance(context.module, nn.BatchNorm):
            # A field of a bound module, which can no longer be set in the usual way.
            object.__setattr__(context.module, "momentum", 0.0)
        return call(*arguments, **options)

    with nn.intercept_methods(intercept):
        yield


def stop_gradients(params: Tree, frozen: frozenset[Path]) -> Tree:
    """The same values; nothing is computed backwards for the frozen ones."""
    if not frozen:
        return params
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            jax.lax.stop_gradient(leaf) if _owner(path) in frozen else leaf
        ),
        params,
    )


def labels(params: Tree, frozen: frozenset[Path]) -> Tree:
    """ "frozen", "encoder" or "rest" for every parameter: who updates it."""

    def label(path: tuple, leaf: Any) -> str:
        owner = _owner(path)
        if owner in frozen:
            return "frozen"
        return ENCODER if owner[0] == ENCODER else "rest"

    return jax.tree_util.tree_map_with_path(label, params)


def count_frozen(params: Tree, frozen: frozenset[Path]) -> int:
    """How many of the parameters are left alone."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(leaf.size for path, leaf in leaves if _owner(path) in frozen)


def _call_order(model: nn.Module, shape: tuple[int, ...]) -> list[Path]:
    """The paths of all modules, in the order in which their calls end."""
    order: dict[Path, None] = {}

    def intercept(call, arguments, options, context):
        result = call(*arguments, **options)
        if context.method_name == "__call__" and context.module.path:
            order[context.module.path] = None
        return result

    with nn.intercept_methods(intercept):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
    return list(order)


def _owner(path: tuple) -> Path:
    """The module that a parameter at this place of the tree belongs to."""
    return tuple(entry.key for entry in path[:-1])


def _refuse(name: str, order: Sequence[Path]) -> None:
    known = ["/".join(path) for path in order]
    top = sorted(path[0] for path in order if len(path) == 1)
    near = difflib.get_close_matches(name, known, n=3)
    advice = f" Near it: {', '.join(near)}." if near else ""
    raise ValueError(
        f"config.model.frozen or frozen_up_to names {name!r}, which the model does not "
        f"have; its parts are {', '.join(top)} and what is in them, as encoder/...."
        f"{advice}"
    )
