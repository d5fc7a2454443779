"""The table of models and experiments, its figures worked out by hand."""

import pathlib
import subprocess
import sys

import pytest

from brainseg_jax.data import info
from brainseg_jax.modes import models
from configs import cnn_lgg, unet_lgg
from tests import small
from tests.tiny_config import get_config

INFO = info.described(
    "lgg_mri/kaggle",
    channels=("pre-contrast", "FLAIR", "post-contrast"),
    classes={"tumour": 255},
    labels=("no tumour", "tumour"),
)


def test_parameters_and_operations_of_a_published_net():
    size = models.published_size("unet", "system 004, dropout")
    assert (size.total, size.trainable) == (1_940_817, 1_940_817)
    # First level down: 3x3 from 1 to 16 and from 16 to 16 features at 128 x 128, a
    # multiplication and an addition each; the net does 43 times as much in all.
    first = 2 * 128 * 128 * 9 * (1 + 16) * 16 / 1e9
    assert size.gflop == pytest.approx(1.40, rel=0.03)
    assert size.gflop > 10 * first


def test_what_is_frozen_does_not_count_as_trainable():
    config = small.shrink(unet_lgg.get_config())
    whole = models.experiment_size("unet", config, INFO)
    with config.unlocked():
        config.model.frozen = ("encoder",)
    frozen = models.experiment_size("unet", config, INFO)
    assert frozen.total == whole.total == frozen.trainable + _encoder() + _statistics()
    assert whole.trainable == whole.total - _statistics()


def test_a_classifier_has_the_outputs_of_its_task():
    # As system 002's notebook: 224 x 224 x 3 and one sigmoid.
    size = models.experiment_size("cnn", cnn_lgg.get_config(), INFO)
    assert size.total == 12_938_561


def _encoder():
    """3x3 kernels without bias, and two numbers of each normalisation per feature."""
    pairs = [(3, 4), (4, 4), (4, 6), (6, 6), (6, 8), (8, 8)]
    return sum(9 * inputs * features + 2 * features for inputs, features in pairs)


def _statistics():
    """Mean and variance of two normalisations in each of five blocks."""
    return 2 * 2 * (4 + 6 + 8 + 6 + 4)


def test_names_are_printed_in_full(capsys, monkeypatch):
    names = models.registry.names
    monkeypatch.setattr(
        models.registry,
        "names",
        lambda package: (
            ["resunet", "unet"] if package is models.models else names(package)
        ),
    )
    config = get_config()
    models.show({"a_long_name_of_an_experiment:phantom": (config, INFO)})
    printed = capsys.readouterr().out
    assert "a_long_name_of_an_experiment:phantom" in printed
    assert "31,055,297" in printed and "…" not in printed


@pytest.mark.slow
def test_the_docs_have_the_tables_as_printed():
    main = pathlib.Path(__file__).parent.parent / "main.py"
    command = [sys.executable, str(main), "--mode=models"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.strip() for line in printed.splitlines() if line.startswith("|")]
    page = (main.parent / "docs" / "models.md").read_text().splitlines()
    assert len(rows) > 70
    # The page has no other table.
    assert [line for line in page if line.startswith("|")] == rows
