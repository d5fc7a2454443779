"""The best model of a run as a function of one stored image, of any size."""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float32, Num

from brainseg_jax import parallel
from brainseg_jax.data import fitting
from brainseg_jax.inference import folding
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.runs.restore import Restored

Predictor = Callable[
    [Num[np.ndarray, "*space c"], Float32[np.ndarray, "4 c"]], jax.Array
]


def make_predictor(restored: Restored) -> Predictor:
    """(image, its four numbers per channel) -> probabilities [1, ...] on its own grid.

    The numbers are those of data.normalise.scaling. Compiled anew for each size of image.
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

    def predict(image: np.ndarray, scaling: np.ndarray) -> jax.Array:
        fitted = fitting.resize_image(image, size)[None]
        grid = image.shape[:-1]
        return step(variables, fitted, scaling[None], grid=grid)

    return predict
