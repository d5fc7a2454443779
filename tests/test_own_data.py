"""docs/own_data.md: its commands, as they stand there, lead from a folder to a report."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from configs import base
from tests import compiling
from tests.test_main import ROOT

PAGE = (ROOT / "docs" / "own_data.md").read_text()
# What makes a training of minutes one of seconds.
SHORT = "--config.epochs=2 --config.data.size='(32, 32)' --config.batch_size=4"
NARROW = {
    "unet_folder": "--config.model.options.widths='(4, 6)'",
    "cnn_folder": "",
}


def blocks(language):
    """What stands between the fences of the page, of one language or of none."""
    found = re.findall(r"^```(\w*)\n(.+?)^```$", PAGE, re.M | re.S)
    return [text for name, text in found if name == language]


def commands():
    """Each command of the page; what trains is shortened."""
    for block in blocks(""):
        for line in block.replace("\\\n", " ").splitlines():
            config = re.search(r"--config=configs/(\w+)\.py", line)
            trains = config and "--mode" not in line
            yield f"{line} {SHORT} {NARROW[config[1]]}" if trains else line


def run(command, folder):
    """In a folder with the project's parts in it, on one device."""
    environment = compiling.environment()
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_the_worked_example_leads_from_a_folder_to_a_report(tmp_path):
    for part in ("main.py", "configs", "datasets", "brainseg_jax"):
        (tmp_path / part).symlink_to(ROOT / part)
    (tmp_path / "my_scans.py").write_text(*blocks("python"))
    printed = {}
    for command in commands():
        done = run(command, tmp_path)
        printed[command] = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{printed[command]}"
    prepared = next(text for command, text in printed.items() if "prepare" in command)
    assert "10 patients, 60 slices" in prepared
    scores = tmp_path / "runs" / "my_scans" / "evaluation" / "fold_4"
    summary = json.loads((scores / "summary.json").read_text())
    assert summary["patients"] == 2 and "patient_dice" in summary
    assert len([*scores.glob("*.png")]) >= 3
    assert len([*(tmp_path / "my_masks").glob("*_mask.png")]) == 6
    classes = tmp_path / "runs" / "my_classes" / "evaluation" / "fold_4"
    assert "patient_mean_probability_accuracy" in json.loads(
        (classes / "summary.json").read_text()
    )


def test_the_page_names_every_key_of_a_folder():
    for key in base.get_config().data.folder:
        assert re.search(rf"(folder\.|`){key}\b[^.]", PAGE), key
