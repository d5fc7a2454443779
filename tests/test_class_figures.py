"""Pictures of classified slices: text fits, and headings and numbers are right."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import class_figures, figures
from brainseg_jax.reports.parts.class_figures import Judged
from tests.test_figures import _pixels

CLASSES = ("no tumour", "tumour")
TYPES = ("meningioma", "glioma", "pituitary tumour")
MATRICES = {
    "By slice": np.array([[482.0, 92.0], [21.0, 301.0]]),
    "By patient": np.array([[8.25, 1.5], [0.25, 3.0]]),
}


def make_decided(classes, count=90):
    rng = np.random.default_rng(0)
    label = np.arange(count) % len(classes)
    probability = rng.dirichlet(np.ones(len(classes)), count)
    probability = (probability + np.eye(len(classes))[label]) / 2
    return Decided(probability, probability.argmax(1), label)


def make_judged(label="tumour"):
    image = np.full((64, 48, 3), 90, np.uint8)
    return Judged(image, "TCGA_CS_4941_19960909", 12, label, "no tumour", 0.978)


DRAW = {
    "confusion": lambda path, **options: class_figures.confusion_matrices(
        MATRICES, CLASSES, path, **options
    ),
    "roc": lambda path, **options: class_figures.roc_curves(
        make_decided(CLASSES), CLASSES, path, **options
    ),
    "panels": lambda path, **options: class_figures.slice_panels(
        {"Right": [make_judged()] * 5, "Wrong": []}, path, **options
    ),
}


@pytest.fixture
def drawn(monkeypatch):
    """Every figure made."""
    made = []

    def make(**options):
        made.append(Figure(**options))
        return made[-1]

    monkeypatch.setattr(figures, "Figure", make)
    return made


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_note_is_in_the_title_and_nothing_is_clipped(tmp_path, draw, drawn):
    _pixels(draw(tmp_path / "a.png", title="Fold 4", note="PHANTOM (synthetic)"))
    (figure,) = drawn
    assert figure.get_suptitle() == "Fold 4\nPHANTOM (synthetic)"
    figure.draw_without_rendering()
    floor = figure.texts[0].get_window_extent().y0
    assert all(axes.get_tightbbox().y1 <= floor for axes in figure.axes)


def test_cells_hold_shares_of_their_row_and_counts(tmp_path, drawn):
    DRAW["confusion"](tmp_path / "a.png")
    by_slice, by_patient = (
        [text.get_text() for text in axes.texts] for axes in drawn[0].axes
    )
    # 482 of 574, 21 of 322; patients are fractions.
    assert by_slice == ["84.0 %\n482", "16.0 %\n92", "6.5 %\n21", "93.5 %\n301"]
    assert by_patient[0] == "84.6 %\n8.25"


def test_three_types_and_a_class_without_examples_are_drawn(tmp_path, drawn):
    matrix = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    path = tmp_path / "a.png"
    _pixels(
        class_figures.confusion_matrices(
            dict.fromkeys(("By slice", "By patient", "By mean probability"), matrix),
            TYPES,
            path,
        )
    )
    assert drawn[0].axes[0].texts[3].get_text() == "none\n0"
    _pixels(class_figures.roc_curves(make_decided(TYPES), TYPES, path))
    legend = drawn[1].axes[0].get_legend().get_texts()
    assert [text.get_text().split(":")[0] for text in legend] == ["chance", *TYPES]


def test_a_split_of_one_class_has_no_curve_but_a_picture(tmp_path, drawn):
    one = make_decided(CLASSES)._replace(label=np.zeros(90, int))
    _pixels(class_figures.roc_curves(one, CLASSES, tmp_path / "a.png"))


def test_long_names_stay_inside(tmp_path):
    long = make_judged("a tumour with a name of many words")._replace(
        patient="TCGA_" * 16
    )
    path = tmp_path / "a.png"
    _pixels(class_figures.slice_panels({"Right": [long] * 9}, path))


def test_what_cannot_be_drawn_is_refused_with_the_files_name(tmp_path):
    path = tmp_path / "a.png"
    nothing = Decided(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, int))
    for draw in (
        lambda: class_figures.confusion_matrices({"a": np.zeros((2, 2))}, "ab", path),
        lambda: class_figures.roc_curves(nothing, CLASSES, path),
        lambda: class_figures.slice_panels({"Right": []}, path),
    ):
        with pytest.raises(ValueError, match=r"a\.png: "):
            draw()
