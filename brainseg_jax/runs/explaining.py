"""What a run's best model decides for in an example, each with its heat: Grad-CAM.

Of several models as one it is what they decide together: each net's own map of it has 1 at
its hottest place, so that no net outweighs another, and the mean of the maps is shown.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import neighbours, normalise, profiles
from brainseg_jax.inference import gradcam, scoring, window_heat
from brainseg_jax.inference.windows import Windows
from brainseg_jax.runs import ensembles, experiment
from brainseg_jax.runs.queries import Query
from brainseg_jax.runs.restore import Restored
from brainseg_jax.tasks import segmentation


class Explained(NamedTuple):
    """What is explained, and where it is found."""

    name: str
    heat: np.ndarray  # [*space], of 0 to 1, at the example's size
    marked: np.ndarray | None = None  # [*space] of what is seen in windows: by the mask
    agreement: float | None = None  # of several nets: mean correlation of their maps


Explain = Callable[[Query], list[Explained]]


def make_explain(restored: Restored) -> Explain:
    """Of a class, or of each class of a mask that is found; nothing is mirrored."""
    if windows := experiment.windows_seen(restored.record.about.settings):
        return _in_windows(restored, windows)
    return _whole(restored)


def _whole(restored: Restored) -> Explain:
    parts, options = restored.parts, restored.record.about.settings.data
    maps, size, reach = _map_names(restored), tuple(options.size), options.neighbours
    logits = parallel.on_one_device(parts.model.apply)
    nets = [
        (
            parallel.on_one_device(
                functools.partial(gradcam.heat, model=one.parts.model)
            ),
            one.variables,
        )
        for one in ensembles.parted(restored)
    ]

    def explain(query: Query) -> list[Explained]:
        fitted = neighbours.resize(query.seen, size, reach)[None]
        image = normalise.apply(jnp.asarray(fitted), jnp.asarray(query.scaling[None]))
        asked = gradcam.asked(logits(restored.variables, image), parts.task, maps)
        space = query.image.shape[:-1]
        return [
            joined(
                name,
                [
                    np.asarray(gradcam.fitted(heat(own, image, share), space))[0]
                    for heat, own in nets
                ],
            )
            for name, share in asked
        ]

    return explain


def _in_windows(restored: Restored, windows: Windows) -> Explain:
    """Of masks, which alone are seen so."""
    parts, maps = restored.parts, _map_names(restored)
    devices = parallel.local_devices(restored.record.about.settings.parallel.mode)
    windows = windows._replace(batch=scoring.fitting(windows.batch, devices))
    see = devices.eval_step(
        scoring.make_eval_step(parts.model, parts.task, parts.loss, (), windows)
    )
    whole = devices.replicate(restored.variables)
    nets = [
        (
            devices.eval_step(window_heat.make_step(one.parts.model, maps=len(maps))),
            devices.replicate(one.variables),
        )
        for one in ensembles.parted(restored)
    ]

    def explain(query: Query) -> list[Explained]:
        example = {"image": query.seen, "scaling": query.scaling}
        marked = window_heat.marked(
            see, whole, example, windows, devices, task=parts.task, maps=len(maps)
        )
        places = [k for k in range(len(maps)) if marked[..., k].any()]
        if not places:
            return []
        asked = example | {"mask": marked}
        heats = [
            window_heat.heat(step, own, asked, windows, devices) for step, own in nets
        ]
        return [
            joined(maps[k], [_to_1(heat[..., k]) for heat in heats], marked[..., k])
            for k in places
        ]

    return explain


def joined(
    name: str, heats: Sequence[np.ndarray], marked: np.ndarray | None = None
) -> Explained:
    """The mean of the nets' maps, each of 0 to 1; nets that find nothing count as 0."""
    if len(heats) == 1:
        return Explained(name, heats[0], marked)
    likeness = [
        profiles.correlation(one, other)
        for one, other in itertools.combinations(heats, 2)
    ]
    return Explained(name, _to_1(np.mean(heats, 0)), marked, float(np.mean(likeness)))


def _to_1(heat: np.ndarray) -> np.ndarray:
    """Its hottest place is 1; all is 0 where nothing is hot."""
    largest = heat.max()
    return heat / largest if largest > 0 else heat


def _map_names(restored: Restored) -> Sequence[str]:
    """Of a net's maps, without background."""
    about, task = restored.record.about, restored.parts.task
    if not task.uses_masks:
        return ()
    if about.config["task"]["targets"] == "labels":
        labels = segmentation.target_labels(about.info.classes, "labels")
        return [f"label {label}" for (label,) in labels]
    return (task.heads.mask if task.heads else task).classes
