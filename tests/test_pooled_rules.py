"""A cross-validation's folds choose together how volumes and classes are mended."""

import json
import pathlib
import types

import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import calibration
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.modes import postprocess
from brainseg_jax.runs import cards, ensembles, temperatures, volume_rules
from brainseg_jax.runs.out_of_fold import Fold
from tests.test_post_processing import CLASSES, PAINTING, two_parts

INFO = data_info.described(
    "a/b", channels=["t1"], classes=CLASSES, labels=["none"], painting=PAINTING,
    dimensions=3,
)  # fmt: skip


def run_of(number, task="segmentation"):
    """The model of a fold, validated on the next."""
    config = {
        "data": {"validation": f"fold_{number + 1}"},
        "evaluation": {"empty": "one"},
    }
    about = types.SimpleNamespace(info=INFO, config=config, note="PHANTOM")
    return types.SimpleNamespace(
        record=types.SimpleNamespace(about=about, step=number),
        parts=types.SimpleNamespace(
            task=types.SimpleNamespace(name=task, exclusive=True, classes=("a", "b"))
        ),
    )


def fold_of(number, patients=("p",)):
    source = types.SimpleNamespace(info=INFO, patients=[*patients])
    return Fold(f"fold_{number + 1}", run_of(number), source)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Of a cross-validation of two folds, of any task."""
    tasks = dict.fromkeys(("fold_0", "fold_1"), "segmentation")
    runs = {name: run_of(k, tasks[name]) for k, name in enumerate(tasks)}
    sources = {
        f"fold_{k + 1}": types.SimpleNamespace(info=INFO, patients=[f"p{k}"])
        for k in range(2)
    }

    def of(path):
        return runs[pathlib.Path(path).name]

    monkeypatch.setattr(postprocess.restore, "restore", of)
    monkeypatch.setattr(ensembles.restore, "read_best", lambda path: of(path).record)
    monkeypatch.setattr(postprocess.precision, "set_precision", lambda _: None)
    monkeypatch.setattr(
        postprocess, "_open_split", lambda _, split, *__: sources[split]
    )
    postprocess.members.write(tmp_path, "folds", [*runs])
    return types.SimpleNamespace(path=tmp_path, runs=runs)


def test_volumes_of_all_validation_folds_choose_together(folder, monkeypatch):
    """Of the first alone the largest part would do, too; the other has two true ones."""
    box = two_parts()
    box[6:] = 0
    spread = box.copy()
    spread[5:, 5:, 5:] = 2
    pairs = {"fold_1": (two_parts(), box), "fold_2": (spread, spread)}
    monkeypatch.setattr(volume_rules, "_labels", lambda fold: iter([pairs[fold.split]]))
    measured = []
    monkeypatch.setattr(
        postprocess, "_measure_familiarity", lambda *given: measured.append(given[2])
    )
    postprocess.choose(folder.path)
    card = json.loads((folder.path / "card.json").read_text())
    # WT 2 * 27 / (27 + 29), TC 2 * 3 / (3 + 5), ET 1, and 1 of the other.
    without = ((54 / 56 + 6 / 8 + 1) / 3 + 1) / 2
    assert card["patient_dice_without"] == pytest.approx(without)
    assert card["patient_dice_with"] == 1
    assert (card["chosen_on"], card["patients"]) == ("fold_1+fold_2", 2)
    found = cards.read(folder.path, {"fold_0": 0, "fold_1": 1})
    assert found.rules == Rules(least_part=10)
    assert [pathlib.Path(one).name for one in measured] == ["fold_0", "fold_1"]


def test_classes_of_all_validation_folds_have_one_temperature(tmp_path, monkeypatch):
    def decided(seed):
        rng = np.random.default_rng(seed)
        sure = 0.9 + 0.09 * rng.random(50)
        probability = np.stack([sure, 1 - sure], -1)
        return Decided(
            probability, np.zeros(50, int), (rng.random(50) > 0.7).astype(int)
        )

    folds = [fold_of(0), fold_of(1)]
    scored = {fold.split: decided(k) for k, fold in enumerate(folds)}
    monkeypatch.setattr(
        temperatures.split_scores,
        "score",
        lambda _, source: types.SimpleNamespace(measured=scored[source]),
    )
    folds = [fold._replace(source=fold.split) for fold in folds]
    rules, said = temperatures.choose_of(folds, tmp_path)
    pooled = Decided(*map(np.concatenate, zip(*scored.values(), strict=True)))
    expected = calibration.fit_temperature(pooled, exclusive=True)
    assert expected > 1  # they are surer than right
    assert rules == Rules() and said["temperature"] == pytest.approx(expected)
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


def test_two_heads_are_refused(folder):
    for run in folder.runs.values():
        run.parts.task.name = "segmentation_and_classification"
    with pytest.raises(
        ValueError, match="is for masks alone and for classes of slices"
    ):
        postprocess.choose(folder.path)
    assert not (folder.path / "card.json").exists()
