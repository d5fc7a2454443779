"""Volumes in reports: sizes in millilitres, three planes of the best, median and worst."""

import types

import cv2
import numpy as np
import pytest

from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports import segmentation
from brainseg_jax.reports.parts import mask_tables, patient_panels, volume_panels

CLASSES = {"WT": [1, 2], "ET": 1}


def make_source(spacings):
    """Two volumes of one patient and one of another; the masks are a box each."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 900, (6, 8, 10, 2)).astype(np.int16)
    truth = np.zeros((6, 8, 10, 1), np.uint8)
    truth[2:4, 5, 6:8] = 2
    return types.SimpleNamespace(
        info=types.SimpleNamespace(classes=CLASSES, kinds=()),
        keys=["a1", "a2", "b1"],
        patients=["a", "a", "b"],
        slices=[0, 0, 0],
        spacings=spacings,
        read_stored=lambda i: (image, truth * (i > 0)),
    )


def test_sizes_are_in_millilitres_of_each_scans_own_voxels():
    counts = Counts(*(np.full((3, 2), n) for n in (10, 5, 20, 100)))
    source = make_source([(1.0, 1.0, 2.0), (2.0, 5.0, 1.0), (1.0, 1.0, 1.0)])
    rows = mask_tables.by_patient(
        Scored(np.zeros(3), counts), source, [*CLASSES], "one"
    )
    # True 10 + 20 voxels, predicted 10 + 5; of 2 and 10 mm^3 for the first patient.
    assert [row["ml_true"] for row in rows] == [0.36, 0.36, 0.03, 0.03]
    assert [row["ml_predicted"] for row in rows] == [0.18, 0.18, 0.015, 0.015]


def test_slices_have_no_millilitres():
    counts = Counts(*(np.ones((3, 2), int) for _ in range(4)))
    rows = mask_tables.by_patient(
        Scored(np.zeros(3), counts), make_source(()), [*CLASSES], "one"
    )
    assert not any(key.startswith("ml") for row in rows for key in row)


def test_the_lower_of_two_is_the_median_and_those_without_a_score_are_none():
    dice = {"a": 0.2, "b": 0.9, "c": np.nan, "d": 0.5, "e": 0.6}
    found = patient_panels.picks(dice)
    assert found == {"best": "b", "median": "d", "worst": "a"}


def test_volumes_are_ranked_by_their_own_scores():
    rows = [
        {"key": key, "dice": dice}
        for key, dice in [
            ("a", 0.5),
            ("a", np.nan),
            ("b", 1.0),
            ("b", 0.0),
            ("c", np.nan),
        ]
    ]
    found = segmentation._dice_of_volumes(rows)
    assert found == {"a": 0.5, "b": 0.5, "c": pytest.approx(np.nan, nan_ok=True)}


def test_a_row_names_the_plane_of_a_volume_that_it_shows():
    source = make_source(())
    label = patient_panels._row(
        "best", ["x"], source, 2, source.read_stored(2)[1]
    ).label
    assert label == "best · b axial plane 2 · x"


@pytest.mark.parametrize("spacing", [(1.0, 2.0, 4.0), (np.nan,) * 3])
def test_three_planes_of_each_are_drawn(tmp_path, spacing, monkeypatch):
    drawn = []
    draw = volume_panels.draw_panels
    monkeypatch.setattr(
        volume_panels, "draw_panels", lambda panels, *a, **o: drawn.extend(panels)
        or draw(panels, *a, **o),
    )  # fmt: skip
    source = make_source([spacing] * 3)
    path = volume_panels.three_planes(
        lambda i: source.read_stored(1)[1], source, {"a1": 0.0, "a2": 0.7, "b1": 1.0},
        tmp_path / "planes.png", title="t", note="PHANTOM",
    )  # fmt: skip
    assert cv2.imread(str(path)) is not None
    assert len(drawn) == 3 * 6 and drawn[0].caption.startswith("best, Dice 1.00\nb1")
    # The colour of the first class is in planes of the prediction; of the worst
    # volume the truth is empty.
    worst = drawn[-6:]
    coloured = [np.ptp(panel.picture.astype(int), -1).any() for panel in worst]
    assert coloured == [False, True] * 3
    # Axial voxels of 2 x 4 mm: 8 x 10 of them are 16 by 40 mm.
    rows = np.flatnonzero(drawn[0].picture.any((1, 2)))
    height = rows[-1] - rows[0] + 1
    expected = 240 * 16 / 40 if np.isfinite(spacing[0]) else 240 * 8 / 10
    assert height == pytest.approx(expected, abs=2)


def test_one_volume_is_drawn_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        volume_panels, "draw_panels", lambda panels, *a, **o: drawn.extend(panels)
    )
    source = make_source(())
    volume_panels.three_planes(
        lambda i: source.read_stored(1)[1], source, {"a1": 0.5}, tmp_path, title="t"
    )
    assert len(drawn) == 6
    assert drawn[0].caption.startswith("best and median and worst, Dice 0.50\na1")
