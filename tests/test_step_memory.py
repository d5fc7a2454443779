"""A step's memory is told before the first one, and what to change if it is too much."""

import jax
import jax.numpy as jnp
import pytest

from brainseg_jax.runs import preflight, step_memory
from brainseg_jax.runs.step_memory import GIB, StepMemory
from configs import base

MEMORY = StepMemory(kept=GIB // 2, working=3 * GIB)


def test_a_compiled_steps_memory_is_its_compilers():
    shape = jax.ShapeDtypeStruct((1000, 250), jnp.float32)

    def step(state, batch):
        return state + (batch @ batch.T @ state).sum()

    compiled = jax.jit(step, donate_argnums=0).lower(shape, shape).compile()
    found = step_memory.of_step(compiled)
    assert found.kept == 2 * 1000 * 250 * 4  # given: state and batch
    # The state's place is used again, so that what is left is a product of a megabyte.
    assert 250 * 250 * 4 <= found.working < 10 * 1000 * 1000 * 4
    assert step_memory.of_step(step) is None


def test_it_is_said_in_gibibytes():
    assert step_memory.sentence(MEMORY, 2 * GIB) == (
        "a training step takes about 3.00 GiB of each device's memory, beside 0.50 GiB of "
        "weights, optimiser and data; 2.00 GiB are free for that"
    )
    assert "free" not in step_memory.sentence(MEMORY, None)


@pytest.mark.parametrize("free", [None, 3 * GIB])
def test_what_fits_needs_no_advice(free):
    assert step_memory.advice(base.get_config(), MEMORY, free) == ""


def test_what_does_not_fit_is_told_with_the_keys_to_change():
    config = base.get_config()
    said = step_memory.advice(config, MEMORY, 2 * GIB)
    assert said == (
        "That is more than is free. In this order: raise config.accumulate=1 (the same "
        "step in more parts; without batch normalisation only) or lower "
        "config.batch_size=16; set config.model.remat=True; set "
        "config.compute_dtype=bfloat16; lower config.data.size=(256, 256)."
    )
    config.batch_size, config.model.remat, config.compute_dtype = 1, True, "bfloat16"
    config.data.patch = (64, 64)
    said = step_memory.advice(config, MEMORY, 2 * GIB)
    assert said.endswith("In this order: lower config.data.patch=(64, 64).")


def test_a_run_that_starts_tells_it(monkeypatch, caplog):
    class Step:
        def memory_analysis(self):
            return type(
                "Analysis",
                (),
                {
                    "argument_size_in_bytes": GIB,
                    "output_size_in_bytes": GIB,
                    "alias_size_in_bytes": GIB,
                    "temp_size_in_bytes": 2**60,
                },
            )()

    class Run:
        config = base.get_config()
        train_step = Step()
        devices = preflight.parallel.local_devices("pmap")

    monkeypatch.setattr(preflight.parallel.Devices, "free_bytes", lambda self: GIB)
    with caplog.at_level("INFO"):
        preflight.tell_memory(Run)
    assert "a training step takes about" in caplog.text
    assert "lower config.data.size=(256, 256)" in caplog.text
