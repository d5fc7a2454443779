"""Which nets are timed, and what is kept and printed; not how long they take."""

import json

import jax
import jax.numpy as jnp
import pytest

from brainseg_jax import models, registry
from brainseg_jax.benchmarks import (
    compiling,
    forms,
    jax_steps,
    nets,
    peers,
    results,
    surface_times,
)
from brainseg_jax.benchmarks.timing import Spread
from brainseg_jax.models import cnn, unet_plus_plus
from brainseg_jax.modes import benchmark

CNN = cnn.Model(1, widths=(4,), hidden=(4,))
TINY = [
    forms.Form("cnn", "tiny", CNN, (1, 16, 16, 3)),
    forms.Form("cnn", "tiny, two", CNN, (2, 16, 16, 3)),
]


@pytest.mark.slow
def test_every_form_is_timed_once_whatever_its_head():
    timed = forms.chosen()
    assert {form.model for form in timed} == {*registry.names(models)}
    # Not their own: in classifiers only the head differs, in unet3d only the channels.
    alike = ("cnn", "resnet50", "unet3d", "vgg16")
    for name in registry.names(models):
        published = [*registry.find(models, name).PUBLISHED]
        found = [form.form for form in timed if form.model == name]
        assert found == (published[:1] if name in alike else published)


def test_a_net_of_other_layers_is_not_left_out():
    found = [form.form for form in forms.chosen(["unet_plus_plus"])]
    assert found[:2] == ["system 004", "with its skips (ours)"]


def test_volumes_and_images_have_sizes_of_their_own():
    (flat,), (deep,) = forms.chosen(["resunet"]), forms.chosen(["fcn3d"])
    assert flat.shape == (2, 256, 256, 3) and deep.shape == (1, 64, 64, 64, 3)
    (asked,) = forms.chosen(["fcn3d", "fcn3d"], batch=3)
    assert asked.shape[0] == 3 and asked.net.outputs == 4
    assert forms.output_shape(asked) == (3, 64, 64, 64, 4)


@pytest.mark.parametrize(
    "net",
    [CNN, unet_plus_plus.Model(1, widths=(4, 6), deep_supervision=True)],
    ids=["cnn", "unet_plus_plus"],
)
def test_forward_and_training_can_be_repeated(net):
    steps, compiled = jax_steps.steps_of(net, (1, 16, 16, 3))
    assert list(steps) == ["forward", "training"]
    for once in steps.values():
        once()
        once()
    assert compiled.seconds > 0 and compiled.temporary_mib > 0


def test_compiling_is_measured_without_the_cache_on_disk(tmp_path):
    image = jnp.ones(7)
    before = jax.config.values["jax_compilation_cache_dir"]
    least = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    try:
        compiled = compiling.compile_anew(jax.jit(lambda x: 3 * jnp.sin(x)), image)
        assert compiled.call(image).tolist()[0] == pytest.approx(3 * 0.8414710)
        assert not [*tmp_path.iterdir()]
        jax.jit(lambda x: 4 * jnp.sin(x))(image)
        assert [*tmp_path.iterdir()]  # but after it there is one again
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
        compiling.compilation_cache.reset_cache()


@pytest.fixture
def two_tiny_nets(monkeypatch):
    """In place of all nets; without PyTorch, and timed by a clock that stands still."""
    monkeypatch.setattr(forms, "chosen", lambda names, batch: TINY)
    monkeypatch.setattr(peers, "find", lambda: None)
    monkeypatch.setattr(nets.kernels, "LAYERS", ((8, 5, 4),))
    monkeypatch.setattr(nets.convolutions, "LAYERS", ((1, 8, 5, 4),))
    monkeypatch.setattr(nets.surface_times, "SHAPE", (8, 9, 10))
    spread = Spread(0.5, 0.4, 0.6, 5)
    monkeypatch.setattr(
        nets.timing, "measure", lambda tasks, budget: dict.fromkeys(tasks, spread)
    )


def test_tables_and_file_have_what_was_measured(two_tiny_nets, tmp_path, capsys):
    path = tmp_path / "new" / "speed.json"
    nets.benchmark_models(outputs=str(path))
    printed = capsys.readouterr().out
    # Batches of one and of two in half a second; the quartiles are 0.1 about it, a fifth.
    assert "2.00 ±20.0 %" in printed and "4.00 ±20.0 %" in printed
    assert "8x8, 5 to 4" in printed and "winograd_4 error" in printed
    assert "surface-distance" in printed and "with far specks" in printed
    assert "MiB" in printed and "PyTorch is not installed" in printed
    assert "better layout" not in printed.replace("better of its layouts", "")
    assert f"The figures are in {path}" in printed
    kept = results.read(str(path))
    assert [net["form"] for net in kept["nets"]] == ["tiny", "tiny, two"]
    assert kept["nets"][1]["seconds"]["JAX forward"]["median"] == 0.5
    # 3x3 from 3 to 4 features with biases, 8x8x4 to 4 and 4 to 1: 112 + 1028 + 5.
    assert kept["nets"][0]["parameters"] == 1145
    nets.benchmark_models(old=str(path))
    printed = capsys.readouterr().out
    assert "New over old" in printed and "1.00" in printed
    assert "Only in" not in printed and "Not like" not in printed


def test_the_file_is_complete_after_every_net(two_tiny_nets, tmp_path, monkeypatch):
    path, measured = tmp_path / "speed.json", nets.measure
    counts = []

    def interrupted(form, torch):
        if path.exists():
            counts.append(len(json.loads(path.read_text())["nets"]))
            raise KeyboardInterrupt
        return measured(form, torch)

    monkeypatch.setattr(nets, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nets.benchmark_models(outputs=str(path))
    assert counts == [1] and len(results.read(str(path))["nets"]) == 1


@pytest.mark.parametrize(
    "options, said",
    [
        ({"batch": -3}, "--batch is -3"),
        ({"names": ["unett"]}, "No model 'unett'.*Did you mean 'unet'"),
        ({"outputs": "folder"}, "--outputs=folder has to be a file .* named"),
        ({"old": "nowhere.json"}, "--against=nowhere.json .*No such file.*--outputs="),
    ],
)
def test_what_cannot_be_done_is_a_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        nets.benchmark_models(**options)


def test_flags_of_the_nets_are_refused_with_an_experiment():
    class Flag:
        value = ["unet"]

    class Request:
        has_config = True
        flags = {"models": Flag, "batch": Flag, "against": Flag}

    with pytest.raises(ValueError, match="leave out --models, --batch, --against, or"):
        benchmark.run(Request)


@pytest.mark.filterwarnings("ignore")  # those of surface-distance
def test_what_is_timed_of_surfaces_is_the_same(monkeypatch):
    monkeypatch.setattr(surface_times, "SHAPE", (30, 32, 34))
    for pred, truth in surface_times.pairs().values():
        for convention, other in [
            ("max_directed", surface_times._scipys),
            ("area_weighted", surface_times._theirs),
        ]:
            ours = surface_times._ours(pred, truth, convention)
            theirs = other(pred, truth)
            assert (ours[0], ours[-1]) == pytest.approx((theirs[0], theirs[-1]))
