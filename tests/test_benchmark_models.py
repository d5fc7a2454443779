"""What is timed, and how; not how long it takes."""

import itertools

import pytest

from brainseg_jax import models, registry
from brainseg_jax.benchmarks import nets


@pytest.mark.slow
def test_every_form_for_images_is_timed_once_whatever_its_head():
    timed = nets.two_dimensional((1, 128, 128, 3))
    assert ("encoder_unet", "on EfficientNet-Lite0 (ours)") in timed
    for name in registry.names(models):
        flat = {
            form
            for form, published in registry.find(models, name).PUBLISHED.items()
            if len(published.shape) == 3
        }
        chosen = [form for of, form in timed if of == name]
        if name in ("cnn", "resnet50", "vgg16"):  # their forms differ in the head
            assert len(chosen) == 1 and set(chosen) < flat
        else:
            assert len(chosen) == len(flat) and set(chosen) == flat


@pytest.mark.parametrize(
    "name, options",
    [
        ("cnn", {"widths": (4,), "hidden": (4,)}),
        ("unet_plus_plus", {"widths": (4, 6), "deep_supervision": True}),
    ],
)
def test_forward_and_training_can_be_repeated(name, options):
    timed = nets.of_jax(name, options, (1, 16, 16, 3))
    assert [one.what for one in timed] == ["forward", "training"]
    for one in timed:
        one.once()
        one.once()


def test_a_negative_batch_is_refused():
    with pytest.raises(ValueError, match="--batch is -3"):
        nets.benchmark_models(batch=-3)


def test_the_fastest_of_a_few_rounds_counts_and_all_take_turns(monkeypatch):
    called, clock = [], itertools.count()
    times = iter([0, 5, 5, 7, 7, 9, 9, 10, 10, 14, 14, 15])  # starts and ends
    monkeypatch.setattr(nets.time, "perf_counter", lambda: next(times))
    timed = [
        nets.Timed("JAX", what, lambda w=what: called.append((w, next(clock))))
        for what in ("forward", "training")
    ]
    best = nets.fastest(timed)
    # Once to warm up; then 5, 2 and 4 seconds forward, 2, 1 and 1 in training.
    assert best == {("JAX", "forward"): 2, ("JAX", "training"): 1}
    assert [what for what, _ in called] == ["forward", "training"] * 4
