"""The speed of every net, forward and in training, beside PyTorch's."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
from absl import logging

from brainseg_jax.benchmarks import (
    against,
    convolutions,
    forms,
    jax_steps,
    kernels,
    machine,
    peers,
    results,
    surface_times,
    tables,
    timing,
)

BUDGET = 15.0  # seconds of rounds for a net
CAPTION = (
    "Medians over rounds in which all take turns, ± half of the distance between the "
    "quartiles; float32, AdamW, one sigmoid for each output, cross-entropy and for masks "
    "Dice. PyTorch's usual memory layout is contiguous."
)
RATIOS = (
    "How many times faster JAX is than PyTorch in the better of its layouts, and in "
    "channels last; above 1 is good. The training step is traced, lowered and compiled "
    "without the cache on disk; its memory is beside arguments and results."
)


def benchmark_models(
    names: Sequence[str] = (), batch: int = 0, outputs: str = "", old: str = ""
) -> list[dict[str, Any]]:
    """Prints the tables and returns the rows, which go to `outputs` after every net.

    `names` are of models, by default all; `old` is a file of figures to compare with.

    Raises:
        ValueError: if a name, the batch or a file is none, with what to do.
    """
    results.check_path(outputs)
    before = results.read(old) if old else None
    chosen, torch = forms.chosen(names, batch), peers.find()
    about = machine.describe(peers.threads())
    rows: list[dict[str, Any]] = []
    for number, form in enumerate(chosen, start=1):
        logging.info("[%s/%s] %s, %s", number, len(chosen), form.model, form.form)
        rows.append(measure(form, torch))
        cells = tables.speed_cells(rows[-1])
        said = ", ".join(f"{name} {cell}" for name, cell in cells.items())
        logging.info("images/s: %s", said)
        results.write(outputs, results.OF_NETS, machine=about, nets=rows)
    tables.show("Images/s", tables.speeds(rows), CAPTION)
    tables.show("JAX beside PyTorch", tables.ratios(rows), RATIOS)
    if jax.default_backend() == "cpu":  # a GPU has no choice of forms
        tables.show("Forms of a gradient", kernels.measure(), kernels.CAPTION)
        tables.show("Forms of a layer", convolutions.measure(), convolutions.CAPTION)
    tables.show("Surface distances", surface_times.measure(), surface_times.CAPTION)
    print(*machine.lines(about), sep="\n")
    if before:
        against.show({"machine": about, "nets": rows}, before)
    print(
        f"The figures are in {outputs}; --against={outputs} compares later ones with them."
        if outputs
        else "--outputs=FILE.json keeps the figures, to compare later ones with them."
    )
    return rows


def measure(form: forms.Form, torch: ModuleType | None) -> dict[str, Any]:
    """Compiles a net and times it, in turns with PyTorch's net if there is one."""
    steps, compiled = jax_steps.steps_of(form.net, form.shape)
    logging.info("compiled in %.1f s", compiled.seconds)
    tasks: dict[str, Callable[[], None]] = {
        f"JAX {what}": once for what, once in steps.items()
    }
    if torch:
        tasks |= torch.steps_of(form.model, form.net, form.shape)
    return results.row(
        form.model,
        form.form,
        timing.measure(tasks, BUDGET),
        shape=form.shape,
        parameters=forms.parameters(form),
        compile_seconds=compiled.seconds,
        temporary_mib=compiled.temporary_mib,
    )
