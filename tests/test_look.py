"""--mode=describe and --mode=audit as a person runs them, on slices of three kinds."""

import csv
import json
import pathlib

import cv2
import pytest

from brainseg_jax.reports.parts import survey_pictures
from tests import small_slices
from tests.test_main import ROOT, run

pytestmark = pytest.mark.slow
UNET = f"--config={ROOT / 'configs' / 'unet_figshare.py'}:phantom"
RUN = pathlib.Path("runs/unet_figshare-phantom")


@pytest.fixture
def data(tmp_path):
    """What names the data of a command; the first prepares them."""
    raw = small_slices.write_tree(tmp_path / "raw")
    return [f"--config.data.raw_dir={raw}", f"--config.data.data_dir={tmp_path}/data"]


def pictures(folder):
    """The names of those that can be read and show something."""
    found = {path.name: cv2.imread(str(path)) for path in folder.glob("*.png")}
    assert all(picture.std() > 1 for picture in found.values())
    return {*found}


def test_describe_leaves_pictures_and_counts(data, tmp_path):
    status, printed = run("--mode=describe", UNET, *data, cwd=tmp_path)
    assert status == 0, printed
    folder = tmp_path / RUN / "describe"
    drawn = {f"{name}.png" for name in survey_pictures.PICTURES} - {"patients.png"}
    assert pictures(folder) == drawn
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["patients"], summary["examples"]) == (9, 18)
    assert summary["labels"]["glioma"] == {"examples": 6, "patients": 3}
    assert len((folder / "examples.csv").read_text().splitlines()) == 1 + 18
    assert len((folder / "patients.csv").read_text().splitlines()) == 1 + 9
    text = (folder / "summary.txt").read_text()
    assert text in printed and "no table of its patients" in text
    assert "PHANTOM" in text and "nan" not in text


def test_audit_leaves_pairs_and_a_verdict(data, tmp_path):
    raw = tmp_path / "raw"
    # The first slice once more, as the second one of all patients but the third, whose are
    # smaller: so every fold has a copy.
    for number in {*range(10, 19)} - {12}:
        for field in ("image", "tumorMask"):
            pixels = small_slices.read(raw / "1.mat", field)
            small_slices.replace(raw / f"{number}.mat", field, pixels)
    status, printed = run("--mode=audit", UNET, *data, cwd=tmp_path)
    assert status == 0, printed
    folder = tmp_path / RUN / "audit"
    written = json.loads((folder / "audit.json").read_text())
    assert "PHANTOM" in written["note"]
    assert written["splits"]["test"] == "fold_4"
    for row in written["shared"]:
        assert row["patients"] == [] and row["exact_pairs_of_two_patients"] > 0
        assert f"LEAK from {row['first']} to {row['second']}: 0 of its" in printed
    with (folder / "pairs.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    of_kind = [pair for pair in pairs if pair["kind"] == "exact"]
    assert len(of_kind) == sum(
        row["exact_pairs_of_two_patients"] for row in written["shared"]
    )
    assert "exact_two_patients.png" in pictures(folder)
