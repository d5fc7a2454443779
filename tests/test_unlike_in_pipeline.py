"""Two stages warn of what either net sees as unlike the images that it was trained on."""

import json

import pytest

from brainseg_jax.runs import two_stage_pictures
from tests.test_two_stages import LARGE, SMALL, given, run, write  # noqa: F401

FAR = "unlike the training images: its distance from them, as {} sees them, is 0.9"


@pytest.fixture
def judged(monkeypatch):
    """Who is asked of whose pictures, and of how many: the second net sees them as far."""
    asked = []

    def judge_of(workdir, restored, whose):
        def unlike(images, scaling):
            asked.append((workdir, whose, len(images), len(scaling)))
            return (FAR.format(whose),) if workdir == "s" else ()

        return unlike, {"usual_distance": (0.1, 0.2)}

    monkeypatch.setattr(two_stage_pictures.familiarity, "judge_of", judge_of)
    return asked


def test_a_volume_is_judged_by_both_nets_and_rows_say_what_they_find(
    given,  # noqa: F811
    judged,
    tmp_path,
    caplog,
):
    write(tmp_path / "in" / "p_1.png", LARGE)
    write(tmp_path / "in" / "p_2.png", SMALL)
    called, spared = run(tmp_path)
    # The segmenter is asked of the whole volume, though it marks one slice of it.
    assert judged == [("c", "the classifier", 2, 2), ("s", "the segmenter", 2, 2)]
    assert FAR.format("the segmenter") in called["warnings"]
    assert spared["warnings"] == "" and "the segmenter sees them" in caplog.text
    masks = json.loads((tmp_path / "out" / "masks" / "predictions.json").read_text())
    assert masks["made_by"]["usual_distance"] == [0.1, 0.2]


def test_what_was_predicted_is_not_judged_again(given, judged, tmp_path):  # noqa: F811
    write(tmp_path / "in" / "p_1.png", LARGE)
    assert run(tmp_path) == run(tmp_path) and len(judged) == 2
