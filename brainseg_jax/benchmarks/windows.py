"""Time and memory of one volume in windows: python -m brainseg_jax.benchmarks.windows.

The command takes the volume's depth, height and width, such as 155 240 240. Of the host it
is what Python allocates that is counted, so on a CPU not what the net computes with. Of a
device it is what the compiler reckons for the step: weights, windows and all between.
"""

import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.inference import blending, scoring
from brainseg_jax.inference.windows import Windows
from brainseg_jax.models import unet3d
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective

CHANNELS = 4
CLASSES = {"necrosis": 1, "oedema": 2, "enhancing": 4}
WINDOW = (64, 64, 64)
WIDTHS = (4, 8)


def measure(shape: tuple[int, ...]) -> str:
    """A row: shape, seconds, and MiB, of the volume and of what is added to it."""
    task = segmentation.make_task(CLASSES, exclusive=True, threshold=0.5)
    model = unet3d.Model(task.outputs, widths=WIDTHS, dropout=(0.0,) * len(WIDTHS))
    devices = parallel.local_devices("pmap")
    windows = Windows(WINDOW, 0.5, scoring.fitting(1, devices), "edge")
    loss = objective.make_loss({"dice": {"weight": 1.0}}, task)
    step = devices.eval_step(scoring.make_eval_step(model, task, loss, (), windows))
    decide = blending.make_decide(task)
    variables = devices.replicate(
        model.init(jax.random.key(0), np.zeros((1, *WINDOW, CHANNELS), np.float32))
    )
    scaling = np.tile(np.array([[0], [1000], [500], [200]], np.float32), (1, CHANNELS))

    given: list[Any] = []

    def noting(*arguments: Any) -> Any:
        given[:] = arguments
        return step(*arguments)

    def label(image: np.ndarray) -> np.ndarray:
        example = {"image": image, "scaling": scaling}
        return blending.label_volume(
            noting, decide, variables, example, windows, devices
        ).labels

    label(np.zeros((*WINDOW, CHANNELS), np.int16))
    image = np.random.default_rng(0).integers(0, 1000, (*shape, CHANNELS), np.int16)
    tracemalloc.start()
    start = time.perf_counter()
    labels = label(image)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    whole = labels.nbytes * 4 * task.outputs
    said = {
        "volume": image.nbytes,
        "labels": labels.nbytes,
        "host beside them": peak - labels.nbytes,
        "all classes would be": whole,
        "device": device_bytes(step, given),
    }
    sizes = ", ".join(f"{name} {size / 2**20:,.1f}" for name, size in said.items())
    return f"{shape}: {seconds:.1f} s; MiB: {sizes}"


def device_bytes(step: Any, arguments: Sequence[Any]) -> int:
    """Of a step on each device: what it is given, what it gives, what lies between."""
    memory = parallel.compiled(step.lower(*arguments)).memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
    )


if __name__ == "__main__":
    print(measure(tuple(map(int, sys.argv[1:]))))
