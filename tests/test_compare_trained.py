"""Trained runs compared over the same patients."""

import cv2
import pytest

from brainseg_jax.modes import compare, train
from brainseg_jax.reports.parts import prediction_grid
from tests import tiny_classifier, tiny_config
from tests.test_compare import rows_of


@pytest.mark.slow
def test_two_trained_runs_of_masks_are_compared(
    finished, data_dir, tmp_path, monkeypatch
):
    config = tiny_config.get_config()
    config.data.data_dir, config.seed = str(data_dir), 1
    config.data.channels = ("FLAIR", "post-contrast")
    train.train(config, str(tmp_path / "two_channels"))
    drawn = []
    draw = prediction_grid.draw_panels
    monkeypatch.setattr(
        prediction_grid, "draw_panels", lambda panels, *a, **o: drawn.extend(panels)
        or draw(panels, *a, **o),
    )  # fmt: skip
    runs = [str(finished[0]), str(tmp_path / "two_channels")]
    found = compare.compare(runs, outputs=str(tmp_path / "out"))
    names = [*found["runs"]]
    assert names == ["whole", "two_channels"]
    # Two patients: the best, and one that is the median and the worst.
    assert len(drawn) == 2 * 4
    assert drawn[4].caption.startswith("median and worst")
    truth = drawn[1].picture.astype(int)
    assert (truth[..., 0] > truth[..., 1] + 40).any()  # red
    report = finished[0] / "evaluation" / "fold_4"
    pixels = {row["key"]: row for row in rows_of(report / "metrics.csv")}
    by_patient = prediction_grid.largest_slices([*pixels.values()])
    means = prediction_grid.mean_over_runs(
        {name: {row["patient"]: float(row[name]) for row in patients(tmp_path, dice=True)}
         for name in names}
    )  # fmt: skip
    assert {row["score"] for row in patients(tmp_path)} >= {"IoU", "HD95 (pixels)"}
    best = pixels[by_patient[max(means, key=lambda patient: means[patient])]]
    marked = int(best["true_positives"]) + int(best["false_positives"])
    green = drawn[2].picture.astype(int)
    coloured = (green[..., 1] > green[..., 0] + 10).sum()
    # What is painted of the first run is what its evaluation counted.
    assert coloured == pytest.approx(marked, rel=0.02, abs=20)
    assert cv2.imread(str(tmp_path / "out" / "grid.png")) is not None


def patients(tmp_path, dice=False):
    rows = rows_of(tmp_path / "out" / "patients.csv")
    return [row for row in rows if row["score"] == "Dice"] if dice else rows


@pytest.mark.slow
def test_two_trained_runs_of_classes_are_compared(data_dir, tmp_path):
    runs = []
    for seed in range(2):
        config = tiny_classifier.get_config()
        config.data.data_dir, config.seed = str(data_dir), seed
        runs.append(str(tmp_path / f"seed_{seed}"))
        train.train(config, runs[-1])
    found = compare.compare(runs)
    folder = tmp_path / "seed_0" / "compare"
    assert {row["score"] for row in found["pairs"]} >= {"accuracy"}
    for row in rows_of(folder / "patients.csv"):
        assert 0 <= float(row["seed_0"]) <= 1
    picture = cv2.imread(str(folder / "bars.png"))
    assert picture.std() > 5 and not (folder / "grid.png").exists()
