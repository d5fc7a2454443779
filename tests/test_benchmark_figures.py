"""Rounds, medians, ratios and comparisons, their values worked out by hand."""

import json

import pytest

from brainseg_jax.benchmarks import against, machine, results, tables, timing
from brainseg_jax.benchmarks.timing import Spread


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when it is told to."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(timing.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_all_take_turns_and_every_second_round_goes_backwards(clock):
    called = []

    def task(name, seconds):
        def once():
            called.append(name)
            clock.now += seconds

        return once

    times = timing.take_turns({"slow": task("slow", 2), "fast": task("fast", 0.5)}, 0.0)
    # Once each to warm up; then five rounds, in which a fast turn is two calls.
    there, back = ["slow", "fast", "fast"], ["fast", "fast", "slow"]
    assert called == ["slow", "fast", *there, *back, *there, *back, *there]
    assert times == {"slow": [2] * 5, "fast": [0.5] * 5}


def test_a_fast_net_has_more_rounds_than_a_slow_one(clock):
    def task(seconds):
        def once():
            clock.now += seconds

        return {"one": once}

    # Two calls of half a second a round, until ten seconds are over; or five of four.
    assert len(timing.take_turns(task(0.5), 10.0)["one"]) == 10
    assert len(timing.take_turns(task(4.0), 10.0)["one"]) == 5
    assert len(timing.take_turns(task(0.001), 10.0)["one"]) == timing.MOST


def test_a_median_stands_between_its_quartiles():
    spread = timing.spread([5.0, 1.0, 2.0, 9.0, 4.0])
    assert spread == Spread(4.0, 2.0, 5.0, 5)
    assert spread.share == 0.375  # half of 5 - 2, over 4


def net(form="a", jax=1.0, compiling=4.0, memory=100.0, shape=(2, 8, 8, 3), **others):
    seconds = {"JAX forward": Spread(jax, jax, jax, 5)} | {
        name.replace("_", " "): Spread(value, value, value, 5)
        for name, value in others.items()
    }
    return results.row(
        "unet",
        form,
        seconds,
        shape=list(shape),
        compile_seconds=compiling,
        temporary_mib=memory,
    )


def test_ratios_are_to_the_better_layout_and_to_channels_last():
    row = net(jax=0.5, PyTorch_forward=1.0, channels_last_forward=2.0)
    (cells,) = tables.ratios([row])
    assert cells["forward / better layout"] == "2.00"
    assert cells["forward / channels last"] == "4.00"
    assert "training / channels last" not in cells
    assert cells["compiling, s"] == "4.0" and cells["temporary, MiB"] == "100"
    (cells,) = tables.speeds([row])
    assert cells["JAX forward"] == "4.00 ±0.0 %" and cells["size"] == "8x8"


MACHINE = machine.describe(2)


def content(*rows, **changes):
    return {"machine": MACHINE | changes, "nets": [*rows]}


def test_new_figures_are_compared_net_by_net():
    new = content(net(jax=1.0, memory=50.0), net("b"), net("d", memory=None))
    old = content(net(jax=2.0, compiling=2.0), net("c"), net("d"))
    first, second = against.cells(new, old)
    assert first == {
        "model": "unet", "form": "a", "JAX forward": "0.50", "compiling": "2.00",
        "memory": "0.50",
    }  # fmt: skip
    assert second["form"] == "d" and "memory" not in second
    assert against.left_out(new, old) == [
        "Only in the new figures: unet, b (2x8x8x3).",
        "Only in the old figures: unet, c (2x8x8x3).",
    ]


def test_nets_of_another_size_are_not_compared():
    new, old = content(net()), content(net(shape=(1, 8, 8, 3)))
    assert against.cells(new, old) == []
    assert len(against.left_out(new, old)) == 2


def test_what_differs_between_the_machines_is_said(capsys):
    assert against.unlike(MACHINE, MACHINE) == []
    versions = MACHINE["versions"] | {"jax": "0.1"}
    old = content(net(), torch_threads=1, device="TPU", versions=versions)
    against.show(content(net()), old)
    printed = capsys.readouterr().out
    assert "torch threads is 2 now, was 1." in printed
    assert "was TPU." in printed and "was 0.1." in printed
    assert printed.count("Not like with like") == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{broken",
        "[1]",
        '{"kind": "other"}',
        json.dumps({"kind": results.OF_NETS, "machine": MACHINE, "nets": [{}]}),
        json.dumps({"kind": results.OF_NETS, "machine": {}, "nets": []}),
        json.dumps(
            {"kind": results.OF_NETS, "machine": MACHINE, "nets": [net(compiling=None)]}
        ),
    ],
)
def test_a_broken_or_foreign_file_is_named_with_what_to_do(text, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"old\.json .*give a file that --mode=benchm"):
        results.read(str(path))


def test_what_was_written_can_be_read(tmp_path):
    path = str(tmp_path / "speed.json")
    results.write(path, results.OF_NETS, **content(net()))
    assert results.read(path)["nets"] == [net()]
    results.check_path(path)
    with pytest.raises(ValueError, match="has to be a file"):
        results.check_path(str(tmp_path))


def test_a_machine_is_described_in_words():
    lines = " ".join(machine.lines(MACHINE))
    assert "PyTorch 2 threads" in lines and "jax 0." in lines and "cpu" in lines
    alone = machine.describe(None) | {"versions": {"jax": "1", "torch": None}}
    assert "PyTorch is not installed" in " ".join(machine.lines(alone))
    assert "torch None" not in " ".join(machine.lines(alone))
