"""How many slices a second are predicted: one by one, in batches, and beside PyTorch.

python -m brainseg_jax.benchmarks.predicting resunet "unet=system 000, reconstructed"
"""

import functools
import sys
from collections.abc import Callable

import jax
import numpy as np

from brainseg_jax import parallel
from brainseg_jax.benchmarks import forms, machine, peers, tables, timing
from brainseg_jax.benchmarks.forms import Form
from brainseg_jax.inference import folding
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.tasks import segmentation

BATCH = 16  # evaluation.batch_size unless a config says otherwise
BUDGET = 30.0  # seconds of rounds for a net
CAPTION = (
    "Slices/s of 256x256 pixels, medians over rounds in which all take turns, ± half of "
    "the distance between the quartiles. JAX's are of 8-bit images on the host to "
    "probabilities on the host, as predict runs them, with normalising and folded "
    "BatchNorm; PyTorch's are of the net alone, on images that lie there already."
)


def measure(form: Form, batch: int = BATCH) -> dict[str, str]:
    """A row of the table: each way's slices/s."""
    shape = (batch, *form.shape[1:])
    ways = _ours(form, shape)
    if torch := peers.find():
        for layout in torch.LAYOUTS:
            last = layout != torch.LAYOUTS[0]
            for many, size in (("in batches", batch), ("one by one", 1)):
                if net := torch.torch_nets.build(form.model, form.net, form.shape):
                    once = torch.forward_pass(net, (size, *shape[1:]), last)
                    ways[f"{layout} {many}"] = _repeated(once, batch // size)
    spreads = timing.measure(ways, BUDGET)
    cells = {
        way: f"{batch / one.median:.1f} ±{100 * one.share:.1f} %"
        for way, one in spreads.items()
    }
    return {"model": form.model, "form": form.form, **cells}


def _ours(form: Form, shape: tuple[int, ...]) -> dict[str, Callable[[], None]]:
    """A plain loop, and batches, of the same images."""
    batch, channels = shape[0], shape[-1]
    task = segmentation.make_task({"tumour": 1}, exclusive=False, threshold=0.5)
    start = parallel.on_one_device(form.net.init)(
        jax.random.key(0), np.zeros(shape, np.float32)
    )
    fold = parallel.on_one_device(folding.make_fold(form.net, (1, *shape[1:])))
    variables = fold(start)
    step = parallel.on_one_device(
        functools.partial(
            inference_steps.probabilities, model=form.net, task=task, mirror=()
        ),
        static=("grid",),
    )
    images = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    numbers = np.array([0, 255, 0, 255], np.float32)[None, :, None]
    scaling = np.tile(numbers, (batch, 1, channels))

    def of(places: slice) -> None:
        chosen = images[places], scaling[places]
        jax.device_get(step(variables, *chosen, grid=shape[1:-1]))

    def one_by_one() -> None:
        for place in range(batch):
            of(slice(place, place + 1))

    return {
        "JAX in batches": lambda: of(slice(0, batch)),
        "JAX one by one": one_by_one,
    }


def _repeated(once: Callable[[], None], times: int) -> Callable[[], None]:
    def several() -> None:
        for _ in range(times):
            once()

    return several


def named(wanted: str) -> Form:
    """A net by its model, and its form if that is given behind `=`."""
    model, _, form = wanted.partition("=")
    known = [one for one in forms.chosen([model]) if form in ("", one.form)]
    if not known:
        raise ValueError(f"{model} has no form {form!r}.")
    return known[0]


def main(wanted: list[str]) -> None:
    rows = [measure(named(one)) for one in wanted]
    tables.show("Predicting", rows, CAPTION)
    print(*machine.lines(machine.describe(peers.threads())), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
