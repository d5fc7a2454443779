"""Grad-CAM of what is seen in windows: one map of the whole, put together from theirs.

What is explained is the sum of a map's logits wherever the whole is marked as it, each
position's from all windows that see it, by what they count there. A channel of the features
has one weight for all windows, the mean gradient over all of their places, so that the heat
of one window can be compared with that of another; it is blended as probabilities are. Of
one window that sees everything this is gradcam.heat.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float32, UInt8

from brainseg_jax import parallel
from brainseg_jax.data import normalise
from brainseg_jax.inference import blending, gradcam, steps
from brainseg_jax.inference.windows import Window, Windows
from brainseg_jax.tasks.parts.task import Task


def marked(
    step: Callable,
    variables: Any,
    example: dict[str, np.ndarray],
    windows: Windows,
    devices: parallel.Devices,
    *,
    task: Task,
    maps: int,
) -> UInt8[np.ndarray, "*space k"]:
    """1 where each of the last `maps` of a net marks an example [*space c]; see gradcam.

    `step` is steps.window_step, compiled by Devices.eval_step.
    """
    found = blending.each_window(step, variables, example, windows, devices)
    parts = ((window, one["probs"]) for window, one in found)
    slabs = blending.blend(parts, example["image"].shape[:-1], windows.size)
    kept = [
        np.asarray(gradcam.marks(jnp.asarray(slab), task)[..., -maps:], np.uint8)
        for _, slab in slabs
    ]
    return np.concatenate(kept)


def make_step(model: nn.Module, *, maps: int) -> Callable:
    """Of a batch of windows the deepest features, and the weights of each map's logits.

    `mask` says where each of the last `maps` of the logits is asked of.
    """

    def step(variables: Any, resident: Any, batch: dict[str, Array]) -> dict[str, Any]:
        del resident
        image = normalise.apply(batch["image"], batch["scaling"])
        logits = jax.eval_shape(lambda: model.apply(variables, image))
        asked = batch["mask"] * steps.window_share(batch, image.shape[1:-1])
        nothing = jnp.zeros(logits.shape, jnp.float32)
        first = logits.shape[-1] - maps  # after background
        shares = [nothing.at[..., first + k].set(asked[..., k]) for k in range(maps)]
        found = gradcam.look(variables, image, shares, model=model)
        return {"features": found.features, "weights": found.weights}

    return step


def heat(
    step: Callable,
    variables: Any,
    example: dict[str, np.ndarray],
    windows: Windows,
    devices: parallel.Devices,
) -> Float32[np.ndarray, "*space k"]:
    """Of an example with a `mask` [*space k] of what is asked; 0 or more.

    `step` is of make_step, compiled by Devices.eval_step.
    """
    kept, each = [], []
    for window, one in blending.each_window(step, variables, example, windows, devices):
        kept.append((window, one["features"]))
        each.append(one["weights"])
    weights = np.mean(each, 0)
    spread = parallel.on_one_device(_spread, static=("size",))

    def parts() -> Iterator[tuple[Window, np.ndarray]]:
        for window, features in kept:
            found = np.asarray(spread(features, weights, size=windows.size))
            for axis, share in enumerate(window.shares):
                along = [1] * found.ndim
                along[axis] = len(share)
                found = found * share.reshape(along)
            yield window, found

    slabs = blending.blend(parts(), example["image"].shape[:-1], windows.size)
    return np.concatenate([slab.copy() for _, slab in slabs])


def _spread(
    features: Any, weights: Any, size: tuple[int, ...]
) -> Float32[Array, "*size k"]:
    """One window's heat by each row of weights [k f], at the window's size."""
    repeated = jnp.broadcast_to(features, (len(weights), *features.shape))
    small = gradcam.weighed(repeated.astype(jnp.float32), weights)
    return jnp.moveaxis(jax.image.resize(small, (len(small), *size), "linear"), 0, -1)
