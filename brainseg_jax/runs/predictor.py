"""The best model of a run as a function of one stored image, of any size."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import fitting
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
    decide = blending.make_decide(parts.task)

    def label(
        image: np.ndarray, scaling: np.ndarray, grid: Grid | None = None
    ) -> np.ndarray:
        example = {"image": image, "scaling": scaling}
        found = blending.label_volume(
            step, decide, variables, example, windows, devices, grid
        )
        return found.labels

    return label


def make_predictor(restored: Restored) -> Predictor:
    """(image, its four numbers per channel) -> probabilities [1, ...] on its own grid.

    Or, by a third argument, on another over the same place, of that shape. The numbers
    are those of data.normalise.scaling. Compiled anew for each size of image.
    """
    config, parts = restored.record.about.settings, restored.parts
    size = tuple(config.data.size)
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
        fitted = fitting.resize_image(image, size)[None]
        grid = shape or image.shape[:-1]
        return step(variables, fitted, scaling[None], grid=grid)

    return predict
