"""What reports choose to show, and that they run no network themselves."""

import ast
import pathlib
import types

import numpy as np

from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports import segmentation
from brainseg_jax.reports.parts import patient_panels

REPORTS = pathlib.Path(segmentation.__file__).parent


def test_of_an_even_number_of_patients_the_lower_of_the_middle_two_is_the_median():
    dice = {"a": 0.9, "b": 0.5, "c": 0.7, "d": 0.1}
    one = np.ones((4, 1), int)
    source = types.SimpleNamespace(
        patients=list(dice),
        slices=[1] * 4,
        info=types.SimpleNamespace(classes={"tumour": 255}, kinds=()),
        read_stored=lambda i: (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1))),
    )
    panels = patient_panels.choose(
        lambda i: np.zeros((4, 4, 1)),
        source,
        Scored(one, Counts(one, one, one, one)),
        dice,
    )
    assert [panel.label.split(" ")[:3:2] for panel in panels] == [
        ["best", "a"], ["median", "b"], ["worst", "d"],
    ]  # fmt: skip


def test_a_report_applies_no_model():
    for path in REPORTS.rglob("*.py"):
        called = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
        assert not {"apply", "jit", "eval_step", "probabilities"} & called, path
