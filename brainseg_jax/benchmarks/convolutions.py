"""A 3x3 convolution on a CPU: how long each form takes, and which is chosen."""

import numpy as np

from brainseg_jax.benchmarks import layers
from brainseg_jax.models.parts import conv3

# Images, pixels along an axis, channels, features: on both sides of the rule.
LAYERS = (
    (2, 256, 16, 32),
    (2, 256, 32, 32),
    (2, 256, 64, 64),
    (2, 128, 32, 64),
    (2, 128, 64, 64),
    (2, 64, 64, 64),
    (2, 64, 128, 128),
    (16, 64, 32, 32),
    (16, 32, 64, 64),
    (16, 16, 64, 128),
    (16, 16, 128, 128),
)
BUDGET = 1.0  # seconds of rounds for a layer
CAPTION = "A 3x3 convolution in ms, medians over rounds in turns."


def measure() -> list[dict[str, str]]:
    """A row for each of LAYERS: the ms of both forms, and the form chosen."""
    return [_of_layer(*layer) for layer in LAYERS]


def _of_layer(n: int, size: int, channels: int, features: int) -> dict[str, str]:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(n, size, size, channels)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, channels, features)).astype(np.float32)
    forms = {"direct": conv3.direct, "another row": conv3.with_another_row}
    timed = layers.in_turns(forms, image, kernel, budget=BUDGET)
    narrow = conv3.is_narrow(image.shape, kernel.shape, image.dtype)
    return {
        "layer": f"{n} of {size}x{size}, {channels} to {features}",
        **{name: f"{form.milliseconds:.1f}" for name, form in timed.items()},
        "chosen": "another row" if narrow else "direct",
    }
