"""The gradient of a 3x3 kernel on a CPU: how long every form takes, and which is chosen."""

from typing import Any

import numpy as np

from brainseg_jax.benchmarks import layers
from brainseg_jax.models.parts import conv3, kernel_gradients

# Pixels along an axis, channels, features: layers of U-Nets of 32 and 64 channels.
LAYERS = (
    (256, 3, 64),
    (256, 32, 32),
    (256, 64, 64),
    (128, 128, 128),
    (64, 256, 256),
    (32, 512, 512),
    (16, 512, 512),
)
BATCH = 2
SAMPLED = 4  # channels and features of which the error is measured
BUDGET = 2.0  # seconds of rounds for a layer
CAPTION = (
    "The gradient of a 3x3 kernel in ms, medians over rounds in turns, and the largest "
    "error of the largest value against float64, in 10 ** -7."
)


def measure() -> list[dict[str, str]]:
    """A row for each of LAYERS: the ms of every form, its error, and the form chosen."""
    return [_of_layer(*layer) for layer in LAYERS]


def _of_layer(size: int, channels: int, features: int) -> dict[str, str]:
    rng = np.random.default_rng(0)
    shape = (BATCH, size, size)
    image, change = (
        rng.normal(size=(*shape, count)).astype(np.float32)
        for count in (channels, features)
    )
    forms = {
        kernel_gradients.DIRECT: conv3.direct_kernel_gradient,
        **kernel_gradients.FORMS,
    }
    timed = layers.in_turns(forms, image, change, budget=BUDGET)
    # A few pairs of channels tell of rounding, and are quick to compute in float64.
    expected = _exact(image[..., :SAMPLED], change[..., :SAMPLED])
    cells: dict[str, Any] = {}
    for name, form in timed.items():
        cells[name] = f"{form.milliseconds:.1f}"
        computed = form.result[..., :SAMPLED, :SAMPLED]
        difference = np.abs(computed - expected).max()
        cells[f"{name} error"] = f"{1e7 * difference / np.abs(expected).max():.1f}"
    chosen = kernel_gradients.fastest(
        image.shape, (3, 3, channels, features), image.dtype
    )
    layer = f"{size}x{size}, {channels} to {features}"
    return {"layer": layer, **cells, "chosen": chosen}


def _exact(image: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The gradient in float64, [3, 3, channels, features]."""
    height, width = image.shape[1:3]
    image = np.pad(np.float64(image), ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.array(
        [
            [
                np.tensordot(
                    image[:, a : a + height, b : b + width],
                    np.float64(change),
                    ((0, 1, 2), (0, 1, 2)),
                )
                for b in range(3)
            ]
            for a in range(3)
        ]
    )
