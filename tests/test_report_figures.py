"""Which figures a report holds: of its own evaluation, and of the card that it goes by."""

import pathlib
import types

import pytest

from brainseg_jax.runs import report_pages


@pytest.mark.parametrize(
    "parts, shown",
    [
        ({"note"}, []),
        ({"note", "post_processing"}, ["thresholds.png"]),
        ({"calibration"}, ["thresholds.png", "calibration.png"]),
    ],
)
def test_figures_of_a_card_are_those_of_what_it_changes(tmp_path, parts, shown):
    # A temperature that an earlier card had left its curve.
    for name in ("thresholds.png", "calibration.png"):
        (tmp_path / name).write_bytes(b"a picture")
    origin = types.SimpleNamespace(chosen=pathlib.Path(tmp_path))
    found = report_pages._chosen(origin, dict.fromkeys(parts))
    assert [one.name for one in found] == [f"postprocess/{name}" for name in shown]


def test_every_picture_that_is_shown_is_one_that_is_removed_before():
    names = {*report_pages.figures("segmentation"), *report_pages.of_failures()}
    assert {"folds.png", "planes.png", "training.png", "failures.png"} <= names
    both = report_pages.figures("segmentation_and_classification")
    assert {"mask/panels.png", "label/roc.png"} <= {*both}
