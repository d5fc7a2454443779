"""What a run's best model decides for in a slice, each with its heat: Grad-CAM."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import neighbours, normalise
from brainseg_jax.inference import gradcam
from brainseg_jax.runs.queries import Query
from brainseg_jax.runs.restore import Restored
from brainseg_jax.tasks import segmentation

# A slice -> name of what is explained, and its heat [h, w] of 0 to 1 at the slice's size.
Explain = Callable[[Query], list[tuple[str, np.ndarray]]]


def make_explain(restored: Restored) -> Explain:
    """Of a class, or of each class of a mask that is found; nothing is mirrored."""
    parts, variables = restored.parts, restored.variables
    options, maps = restored.record.about.settings.data, _map_names(restored)
    size, reach = tuple(options.size), options.neighbours
    logits = parallel.on_one_device(parts.model.apply)
    heat = parallel.on_one_device(functools.partial(gradcam.heat, model=parts.model))

    def explain(query: Query) -> list[tuple[str, np.ndarray]]:
        fitted = neighbours.resize(query.seen, size, reach)[None]
        image = normalise.apply(jnp.asarray(fitted), jnp.asarray(query.scaling[None]))
        asked = gradcam.asked(logits(variables, image), parts.task, maps)
        return [
            (name, _at_size(heat(variables, image, share), query))
            for name, share in asked
        ]

    return explain


def _at_size(heat: Any, query: Query) -> np.ndarray:
    return np.asarray(gradcam.fitted(heat, query.image.shape[:-1]))[0]


def _map_names(restored: Restored) -> Sequence[str]:
    """Of a net's maps, without background."""
    about, task = restored.record.about, restored.parts.task
    if not task.uses_masks:
        return ()
    if about.config["task"]["targets"] == "labels":
        labels = segmentation.target_labels(about.info.classes, "labels")
        return [f"label {label}" for (label,) in labels]
    return (task.heads.mask if task.heads else task).classes
