"""A checkpoint of weights by a formula: its LGG scores are those that plain NumPy gives.

NumPy reads the publisher's files itself, so that nothing between them and the tables, from
preparing to adding up patients, may change what a checkpoint scores.
"""

import csv
import pathlib
import re

import jax
import numpy as np
import pytest
import tifffile

from brainseg_jax.data import info as data_info
from brainseg_jax.modes import evaluate
from brainseg_jax.runs import checkpoints, records
from brainseg_jax.training.state import TrainState
from tests import tiny_config

FOLDS = "fold_0+fold_1"
COUNTS = ("true_positives", "false_positives", "false_negatives", "true_negatives")
FLAIR = 1  # place of the channel that shows all of the tumour
# A U-Net of one level: two convolutions to two maps, and the output.
SOFT = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def first_kernel():
    """Map 0: FLAIR, smoothed; map 1: the other sequences, smoothed."""
    kernel = np.zeros((3, 3, 3, 2))
    kernel[..., FLAIR, 0] = SOFT
    kernel[..., [0, 2], 1] = SOFT[..., None] / 2
    return kernel


def second_kernel():
    """Each map smoothed again; what the other sequences show counts a quarter less."""
    return SOFT[..., None, None] * np.array([[1.0, 0.0], [-0.25, 1.0]])


WEIGHTS = {
    "conv_1": {"kernel": first_kernel(), "bias": np.array([0.0, 0.1])},
    "conv_2": {"kernel": second_kernel(), "bias": np.array([-0.5, 0.0])},
}
OUTPUT = {
    "kernel": np.array([3.0, -0.25]).reshape(1, 1, 2, 1),
    "bias": np.array([-5.1]),
}


@pytest.fixture(scope="module")
def workdir(data_dir, tmp_path_factory):
    """A run's folder with the one checkpoint, as training would have saved it."""
    config = tiny_config.get_config()
    with config.unlocked():
        config.data.data_dir, config.data.size = str(data_dir), (256, 256)
        config.model.name, config.ema_decay = "unet", 0.0
        config.model.options = {"widths": (2,), "norm": "none"}
        config.evaluation.mirror, config.evaluation.surface_distances = (), "none"
    info = data_info.read_info(config.data.name, config.data.data_dir)
    about = records.About(config.to_dict(), info.to_record(), "", (), (), 0, 0, {})
    params = {"encoder": {"level_1": WEIGHTS}, "output": OUTPUT}
    params = jax.tree.map(np.float32, params)
    state = TrainState(np.int32(1), params, {}, {}, {}, np.float32(1))
    folder = tmp_path_factory.mktemp("fixed")
    with checkpoints.Checkpoints(folder) as saved:
        saved.save(state, records.to_json(about, records.Progress()), 0.5)
    return folder


def convolved(image, kernel, bias):
    """[h, w, c] by [3, 3, c, f], zeros beyond the edge."""
    height, width = image.shape[:2]
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
    total = np.zeros((height, width, kernel.shape[-1])) + bias
    for row in range(3):
        for column in range(3):
            part = padded[row : row + height, column : column + width]
            total += part @ kernel[row, column]
    return total


def logits(image):
    """Of a normalised image, in float64."""
    for layer in WEIGHTS.values():
        image = np.maximum(convolved(image, **layer), 0)
    return image @ OUTPUT["kernel"][0, 0, :, 0] + OUTPUT["bias"]


def counts_of(folder):
    """Hits, false alarms, misses, true negatives of a patient's slices; each logit."""
    masks = sorted(folder.glob("*_mask.tif"))
    images = [path.with_name(path.name.replace("_mask", "")) for path in masks]
    volume = np.stack([tifffile.imread(path) for path in images]).astype(float)
    low, high = np.percentile(volume, (1, 99.5), axis=(0, 1, 2))
    clipped = np.clip(volume, low, high)
    deviation = clipped.std((0, 1, 2))
    found = [logits(one) for one in (clipped - clipped.mean((0, 1, 2))) / deviation]
    truth = np.stack([tifffile.imread(path) for path in masks]) > 0
    marked = np.stack(found) > 0
    hits, alarms = (truth & marked).sum(), (~truth & marked).sum()
    misses, rest = (truth & ~marked).sum(), (~truth & ~marked).sum()
    return (int(hits), int(alarms), int(misses), int(rest)), np.abs(found).min()


LEFT = ("folds.png", "planes.png", "training.png", "scores_post_processed.csv")
OWN = ("mine.png", "mine.csv")


@pytest.fixture(scope="module")
def evaluated(workdir):
    """What evaluating gives, in a folder in which an earlier evaluation left files."""
    folder = workdir / "evaluation" / FOLDS.replace("+", "_")
    folder.mkdir(parents=True)
    for name in (*LEFT, *OWN, "panels.png"):
        (folder / name).write_bytes(b"earlier")
    (folder / "summary.json").write_text('{"schema": "2"}')
    return evaluate.evaluate(workdir, FOLDS)


def test_what_an_earlier_evaluation_left_is_not_shown(workdir, evaluated):
    (page,) = workdir.glob("evaluation/*/report.html")
    shown = re.findall('alt="([^"]+)"', page.read_text())
    # This one drew the best and the worst patient, but no training, folds or planes.
    assert "panels.png" in shown and not {*LEFT} & {*shown}
    assert (page.parent / "panels.png").stat().st_size > 10_000
    assert not [name for name in LEFT if (page.parent / name).exists()]
    # What is no part of a report stays.
    assert all((page.parent / name).exists() for name in OWN)


def test_a_fixed_checkpoint_scores_lgg_as_numpy_does(workdir, data_dir, evaluated):
    folds = data_info.read_info("lgg_mri/phantom", data_dir).folds
    scored = [name for name, fold in folds.items() if fold in (0, 1)]
    raw = pathlib.Path(data_dir) / "raw" / "kaggle_3m"
    expected = {name: counts_of(raw / name) for name in scored}
    # No pixel so near to the threshold that rounding to float32 could turn it.
    assert min(nearest for _, nearest in expected.values()) > 1e-6
    found = evaluated
    (table,) = workdir.glob("evaluation/*/patients.csv")
    with table.open() as file:
        rows = {row["patient"]: row for row in csv.DictReader(file)}
    assert rows.keys() == expected.keys() and len(rows) > 1
    for patient, (counts, _) in expected.items():
        assert tuple(int(rows[patient][name]) for name in COUNTS) == counts
    dices = [
        2 * hits / (2 * hits + alarms + misses)
        for (hits, alarms, misses, _), _ in expected.values()
    ]
    assert found["patient_dice"] == pytest.approx(np.mean(dices), abs=1e-6)
    assert 0.1 < np.mean(dices) < 0.95  # a test that all or nothing would not pass
