"""Time and memory of one volume in windows: python -m brainseg_jax.benchmarks.windows.

The command takes the volume's depth, height and width, such as 155 240 240. One volume a
process: what a process had at its peak is never taken back.
"""

import resource
import sys
import time

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
WIDTHS = (8, 16, 32)


def measure(shape: tuple[int, ...]) -> str:
    """A row: shape, seconds, MiB that the host added to what it had, MiB of a device."""
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

    def label(shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 1000, (*shape, CHANNELS), np.int16)
        example = {"image": image, "scaling": scaling}
        return blending.label_volume(
            step, decide, variables, example, windows, devices
        ).labels

    label(WINDOW)
    before, start = _peak(), time.perf_counter()
    label(shape)
    seconds, grown = time.perf_counter() - start, _peak() - before
    statistics = devices.devices[0].memory_stats() or {}
    device = f"{statistics['peak_bytes_in_use'] / 2**20:,.0f}" if statistics else "-"
    return f"{shape} {seconds:.1f} s, host + {grown:,.0f} MiB, device {device} MiB"


def _peak() -> float:
    """The most that the process had so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    print(measure(tuple(map(int, sys.argv[1:]))))
