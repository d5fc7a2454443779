"""The best model of a run as a function of one stored image, of any size."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import neighbours
from brainseg_jax.inference import blending, folding, scoring
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.inference.regridding import Grid
from brainseg_jax.inference.windows import Windows
from brainseg_jax.runs import experiment
from brainseg_jax.runs.restore import Restored

Predictor = Callable[..., jax.Array]

# (image, its four numbers per channel, grid=None) -> labels [*space, 1]; of two heads of
# each. They are on the image's own grid, or on `grid`, to which probabilities are brought.
Labeller = Callable[..., Any]


def make_labeller(restored: Restored) -> Labeller:
    """The publisher's labels on an image's own grid, whole or in windows, as trained.

    One of whole images takes no `grid` that has a box.
    """
    if windows := experiment.windows_of(restored.record.about.settings):
        return make_volume_labeller(restored, windows)
    predict = make_predictor(restored)

    def label(image: np.ndarray, scaling: np.ndarray, grid: Grid | None = None) -> Any:
        shape = grid.shape if grid else image.shape[:-1]
        found = restored.parts.task.predict(predict(image, scaling, shape))
        return jax.tree.map(lambda labels: np.asarray(labels)[0], found)

    return label


def make_volume_labeller(restored: Restored, windows: Windows) -> Labeller:
    """Labels of images of any size, seen in windows that are spread over all devices."""
    step, variables, windows, devices = _of_windows(restored, windows)
    decide = blending.make_decide(restored.parts.task)

    def label(
        image: np.ndarray, scaling: np.ndarray, grid: Grid | None = None
    ) -> np.ndarray:
        example = {"image": image, "scaling": scaling}
        found = blending.label_volume(
            step, decide, variables, example, windows, devices, grid
        )
        return found.labels

    return label


def _of_windows(
    restored: Restored, windows: Windows
) -> tuple[Callable, Any, Windows, parallel.Devices]:
    """The step, its weights, and the windows that all devices see at a time."""
    config, parts = restored.record.about.settings, restored.parts
    devices = parallel.local_devices(config.parallel.mode)
    windows = windows._replace(batch=scoring.fitting(windows.batch, devices))
    fold = parallel.on_one_device(folding.make_fold(parts.model, parts.shape))
    variables = devices.replicate(fold(restored.variables))
    step = devices.eval_step(
        scoring.make_eval_step(
            parts.model, parts.task, parts.loss, config.evaluation.mirror, windows
        )
    )
    return step, variables, windows, devices


class Batched(NamedTuple):
    """A predictor of several images at a time, over all devices."""

    size: int  # images at a time
    # (images of any sizes, their numbers) -> probabilities and labels of each, [1, ...]
    predict: Callable[
        [Sequence[np.ndarray], Sequence[np.ndarray]], list[tuple[Any, Any]]
    ]


def make_batched(restored: Restored, most: int) -> Batched:
    """As make_predictor's, of up to `most` images at a time: compiled once for all sizes.

    What follows the net, to each image's own grid, is compiled for each size. Of a run
    that is scored in windows images come one by one, in all of their windows.
    """
    config, parts = restored.record.about.settings, restored.parts
    if config.evaluation.window:
        return _one_by_one(restored)
    devices = parallel.local_devices(config.parallel.mode)
    size = scoring.fitting(min(most, config.evaluation.batch_size), devices)
    space, reach = tuple(config.data.size), config.data.neighbours
    fold = parallel.on_one_device(folding.make_fold(parts.model, parts.shape))
    variables = devices.replicate(fold(restored.variables))

    def step(variables: Any, resident: Any, batch: dict[str, Any]) -> Any:
        del resident
        return inference_steps.probabilities(
            variables,
            batch["image"],
            batch["scaling"],
            space,
            model=parts.model,
            task=parts.task,
            mirror=config.evaluation.mirror,
        )

    def to_grid(probs: Any, grid: tuple[int, ...]) -> tuple[Any, Any]:
        resized = parts.task.resize(probs, grid)
        return resized, parts.task.predict(resized)

    run = devices.eval_step(step)
    finish = parallel.on_one_device(to_grid, static=("grid",))

    def predict(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> list[tuple[Any, Any]]:
        fitted = [neighbours.resize(image, space, reach) for image in images]
        places = [min(k, len(images) - 1) for k in range(size)]  # the last fills up
        batch = {
            "image": np.stack([fitted[k] for k in places]),
            "scaling": np.stack([scaling[k] for k in places]),
        }
        maps = devices.gather(run(variables, {}, devices.shard(batch)))
        return [
            finish(
                jax.tree.map(lambda one, k=k: one[k : k + 1], maps),
                grid=image.shape[:-1],
            )
            for k, image in enumerate(images)
        ]

    return Batched(size, predict)


def _one_by_one(restored: Restored) -> Batched:
    see = make_predictor(restored)

    def predict(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> list[tuple[Any, Any]]:
        found = [see(*pair) for pair in zip(images, scaling, strict=True)]
        return [(probs, restored.parts.task.predict(probs)) for probs in found]

    return Batched(1, predict)


def make_predictor(restored: Restored) -> Predictor:
    """(image, its four numbers per channel) -> probabilities [1, ...] on its own grid.

    Or, by a third argument, on another over the same place, of that shape. The numbers
    are those of data.normalise.scaling. Compiled anew for each size of image, but in
    windows, if the run is scored so, for theirs.
    """
    config, parts = restored.record.about.settings, restored.parts
    if windows := experiment.windows_of(config):
        return _make_window_predictor(restored, windows)
    size, reach = tuple(config.data.size), config.data.neighbours
    fold = parallel.on_one_device(folding.make_fold(parts.model, parts.shape))
    variables = fold(restored.variables)
    step = parallel.on_one_device(
        functools.partial(
            inference_steps.probabilities,
            model=parts.model,
            task=parts.task,
            mirror=config.evaluation.mirror,
        ),
        static=("grid",),
    )

    def predict(
        image: np.ndarray, scaling: np.ndarray, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        fitted = neighbours.resize(image, size, reach)[None]
        grid = shape or image.shape[:-1]
        return step(variables, fitted, scaling[None], grid=grid)

    return predict


def _make_window_predictor(restored: Restored, windows: Windows) -> Predictor:
    step, variables, windows, devices = _of_windows(restored, windows)

    def predict(
        image: np.ndarray, scaling: np.ndarray, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        example = {"image": image, "scaling": scaling}
        found = blending.probabilities(step, variables, example, windows, devices)
        grid = shape or image.shape[:-1]
        return restored.parts.task.resize(jnp.asarray(found[None]), grid)

    return predict
