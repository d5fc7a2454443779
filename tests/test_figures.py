"""Pictures decode, have their headings, clip nothing and leave no partial files."""

import gc
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from brainseg_jax.reports.parts import (
    example_panels,
    figures,
    mask_panels,
    patient_bars,
)
from brainseg_jax.reports.parts.mask_panels import Slice

TUMOUR = {"tumour": 255}


def _history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "validation_loss": 1.2 / epoch,
            "validation_dice": 1 - 1 / (epoch + 1),
            "validation_iou": 0.8 - 0.8 / (epoch + 1),
            "learning_rate": 1e-3 * (epochs - epoch) / epochs,  # ends at exactly zero
        }
        for epoch in range(1, epochs + 1)
    ]


def _curves(history, path: Path, **options) -> Path:
    names = {"validation_dice": "Dice", "validation_iou": "IoU"}
    return figures.training_curves(history, path, scores=names, **options)


def _slice(label: str = "best · patient_1 slice 12 · Dice 0.91") -> Slice:
    truth, prediction = np.zeros((2, 64, 48, 1), np.uint8)
    truth[10:30, 10:30] = prediction[14:34, 10:30] = 255
    return Slice(label, np.full((64, 48, 3), 90, np.uint8), truth, prediction)


def _panels(path: Path, *slices: Slice, **options) -> Path:
    options = {"classes": TUMOUR, **options}
    return mask_panels.five_panels(slices or [_slice()], path, **options)


def _bars(path: Path, count: int, **options) -> Path:
    names = [f"TCGA_CS_{number:04d}_19960909" for number in range(count)]
    return patient_bars.patient_bars(names, np.linspace(0, 1, count), path, **options)


DRAW = {
    "curves": lambda path, **options: _curves(_history(5), path, **options),
    "panels": _panels,
    "bars": lambda path, **options: _bars(path, 5, **options),
}


def _pixels(path: Path) -> np.ndarray:
    """The picture in RGB, after checking that it fits a page and clips nothing."""
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[1] == 1800
    assert 300 < picture.shape[0] <= 1800
    for edge in (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]):
        assert (edge == 255).all(), "something is drawn up to the edge of the picture"
    return picture[..., ::-1]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Every figure made, so that a test can ask where its texts were put."""
    made: list[Figure] = []

    def make(**options) -> Figure:
        made.append(Figure(**options))
        return made[-1]

    monkeypatch.setattr(figures, "Figure", make)
    return made


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_note_is_in_the_title_and_in_the_file(tmp_path, draw, drawn):
    path = draw(tmp_path / "a.png", title="Fold 4", note="PHANTOM (synthetic data)")
    assert drawn[0].get_suptitle() == "Fold 4\nPHANTOM (synthetic data)"
    with Image.open(path) as picture:
        assert picture.text["Title"] == drawn[0].get_suptitle()
    _pixels(path)


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_title_of_many_lines_stands_above_the_drawing(tmp_path, draw, drawn):
    draw(tmp_path / "a.png", note="leaky " * 40)
    (figure,) = drawn
    figure.draw_without_rendering()
    title, *others = figure.texts
    floor = title.get_window_extent().y0
    assert all(axes.get_tightbbox().y1 <= floor for axes in figure.axes)
    assert all(text.get_window_extent().y1 <= floor for text in others)


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_long_note_is_wrapped_not_clipped(tmp_path, draw):
    plain, noted = (
        draw(tmp_path / "a.png"),
        draw(tmp_path / "b.png", note="leaky " * 40),
    )
    assert _pixels(noted).shape[0] > _pixels(plain).shape[0]


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_curves_of_any_length_are_drawn(tmp_path, epochs, drawn):
    _pixels(_curves(_history(epochs), tmp_path / "a.png"))
    losses, scores, rates = drawn[0].axes
    assert [len(line.get_xdata()) for line in scores.get_lines()[:2]] == [epochs] * 2
    assert scores.get_legend().get_texts()[-1].get_text() == f"kept: epoch {epochs}"
    assert all(tick == int(tick) for tick in losses.get_xticks())
    assert rates.get_yscale() == ("linear" if epochs == 1 else "log")  # one rate: zero


def test_the_kept_epoch_is_the_callers(tmp_path, drawn):
    _curves(_history(9), tmp_path / "a.png", kept_epoch=3)
    assert drawn[0].axes[1].get_lines()[-1].get_xdata() == [3, 3]


def test_epochs_without_evaluation_leave_no_gap(tmp_path, drawn):
    history = _history(4)
    history[1] = {
        key: value for key, value in history[1].items() if "validation" not in key
    }
    _pixels(_curves(history, tmp_path / "a.png"))
    assert list(drawn[0].axes[1].get_lines()[0].get_xdata()) == [1, 3, 4]


def test_the_first_two_scores_that_are_defined_are_drawn(tmp_path, drawn):
    history = [{**row, "validation_auc": float("nan")} for row in _history(3)]
    names = {"validation_none": "none", "validation_auc": "AUC"}
    names |= {"validation_iou": "IoU", "validation_dice": "Dice", "train_loss": "loss"}
    _pixels(figures.training_curves(history, tmp_path / "a.png", scores=names))
    legend = [text.get_text() for text in drawn[0].axes[1].get_legend().get_texts()]
    assert legend == ["IoU", "Dice", "kept: epoch 3"]


def test_a_run_that_was_never_evaluated_and_diverged_is_drawn(tmp_path):
    history = [{"epoch": 1, "train_loss": float("nan"), "learning_rate": 0.1}]
    _pixels(_curves(history, tmp_path / "a.png"))


def test_a_history_without_a_column_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png: .* lacks learning_rate, train_loss"):
        _curves([{"epoch": 1}], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_truth_is_red_and_prediction_green_each_in_its_own_panel(tmp_path):
    picture = _pixels(_panels(tmp_path / "a.png"))
    tops = []
    for colour, panel in ((mask_panels.TRUTH, 3), (mask_panels.PREDICTION, 4)):
        rows, columns = np.nonzero((picture == colour).all(-1))
        # Each of the five panels is a fifth of the width, 1800 / 5.
        assert panel * 360 <= columns.min() and columns.max() < (panel + 1) * 360
        tops.append(rows.min())
    # The prediction begins 4 of 64 rows lower, in a panel of 344 pixels: 21.5.
    assert abs(tops[1] - tops[0] - 21.5) <= 1


def test_slices_of_other_sizes_and_channels_and_empty_masks_share_a_picture(tmp_path):
    blank = np.zeros((30, 80, 1), np.uint8)
    wide = Slice("worst " * 40, blank, blank, blank)
    _pixels(_panels(tmp_path / "a.png", _slice(), wide))


def test_each_of_several_classes_has_a_colour_of_its_own_and_a_name(tmp_path, drawn):
    both = _slice()
    both.truth[12:14, 10:30] = 2  # 2 of the 20 rows of truth; all predicted as one
    classes = {"core": 255, "rim": 2}
    picture = _pixels(_panels(tmp_path / "a.png", both, classes=classes))
    core, rim = example_panels.class_colours(classes)
    panels = picture[: int(0.9 * len(picture))]  # above the legend
    for colour, known in ((core, {1, 2, 3, 4}), (rim, {1, 3})):
        columns = np.nonzero((panels == colour).all(-1))[1]
        assert {*(columns // 360)} == known
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [*classes]


def test_panels_of_many_classes_clip_nothing(tmp_path):
    classes = {f"a class with a long name {i}": i + 1 for i in range(7)}
    _pixels(_panels(tmp_path / "a.png", classes=classes))


@pytest.mark.parametrize("count", [1, 5, 41, 110])
def test_every_patient_has_a_readable_name(tmp_path, count, drawn):
    _pixels(_bars(tmp_path / "a.png", count))
    (figure,) = drawn
    figure.draw_without_rendering()  # places texts anew, after the saving
    boxes = {}
    for axes in figure.axes:
        labels = axes.get_yticklabels()
        extents = [label.get_window_extent() for label in labels]
        boxes |= {
            label.get_text(): box for label, box in zip(labels, extents, strict=True)
        }
        for upper, lower in zip(extents, extents[1:], strict=False):
            assert lower.y1 <= upper.y0 + 1, "two names overlap"
    assert len(boxes) == count
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes.values())
    assert all(label.get_fontsize() >= 7 for label in figure.axes[0].get_yticklabels())


def test_bars_are_sorted_with_the_mean_and_median_of_the_scored(tmp_path, drawn):
    path = tmp_path / "a.png"
    patient_bars.patient_bars(["a", "b", "c", "d"], [0.2, 0.9, np.nan, 0.7], path)
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["b", "d", "a", "c"]
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend[0] == "mean 0.600" and legend[-1] == "median 0.700"  # 1.8 / 3
    assert [text.get_text() for text in axes.texts][-1] == "no score"


def test_a_patient_has_a_bar_for_each_class_it_has(tmp_path, drawn):
    dice = np.array([[0.4, 0.8], [np.nan, 0.5], [np.nan, np.nan], [0.9, np.nan]])
    _pixels(
        patient_bars.patient_bars(
            "abcd", dice, tmp_path / "a.png", classes=["core", "rim"]
        )
    )
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [*"dabc"]
    values = [text.get_text() for text in axes.texts]
    assert values == ["0.90", "0.40", "0.80", "0.50", "no score"]
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    # By patient 0.6, 0.5 and 0.9.
    assert (legend[0], legend[4]) == ("mean 0.667", "median 0.600")
    assert (legend[1], legend[3]) == ("core", "rim")  # filled by columns


def test_bars_of_another_score_say_so(tmp_path, drawn):
    patient_bars.patient_bars("ab", [0.2, 0.4], tmp_path / "a.png", score="Accuracy")
    assert drawn[0].axes[0].get_xlabel() == "Accuracy"


def test_the_interval_of_equal_scores_has_no_width_and_the_callers_is_kept(
    tmp_path, drawn
):
    patient_bars.patient_bars("abc", [0.5] * 3, tmp_path / "a.png")
    patient_bars.patient_bars(
        "abc", [0.5] * 3, tmp_path / "b.png", interval=(0.25, 0.75)
    )
    spans = [figure.legends[0].get_texts()[1].get_text() for figure in drawn]
    assert [span.split()[-1] for span in spans] == ["0.500–0.500", "0.250–0.750"]


def test_long_names_and_dollar_signs_are_drawn(tmp_path):
    names = ["/a/very/long/path/" * 5 + "patient_1", "$\\frac$", "p"]
    _pixels(patient_bars.patient_bars(names, [0.1, 0.2, 0.3], tmp_path / "a.png"))


def test_what_cannot_be_drawn_is_refused_with_the_files_name(tmp_path):
    path = tmp_path / "a.png"
    for draw in (
        lambda: _curves([], path),
        lambda: mask_panels.five_panels([], path, classes=TUMOUR),
        lambda: patient_bars.patient_bars(["a"], [0.1, 0.2], path),
        lambda: patient_bars.patient_bars(["a"], [np.nan], path),
    ):
        with pytest.raises(ValueError, match=r"a\.png: "):
            draw()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_a_failure_leaves_the_old_picture_and_no_other_file(
    tmp_path, draw, monkeypatch
):
    path = draw(tmp_path / "a.png")
    before = path.read_bytes()

    def full_disk(self: Path, content: bytes) -> int:
        with open(self, "wb") as half:
            half.write(content[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        draw(path, note="newer")
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_no_figure_and_no_setting_outlives_its_picture(tmp_path):
    settings = dict(matplotlib.rcParams)
    for draw in DRAW.values():
        draw(tmp_path / "a.png")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Figure)]
    assert dict(matplotlib.rcParams) == settings


@pytest.mark.parametrize(
    "rates", [[1.9e-4], [3e-4, 3.1e-4], [1e-3, 2e-3, 5e-4], [1e-3, 1e-7], [2e-3, 0.0]]
)
def test_numbers_at_the_learning_rate_are_few_and_differ(tmp_path, drawn, rates):
    history = [
        {"epoch": epoch, "train_loss": 1.0, "learning_rate": rate}
        for epoch, rate in enumerate(rates, start=1)
    ]
    _curves(history, tmp_path / "a.png")
    axis = drawn[0].axes[-1].yaxis
    drawn[0].draw_without_rendering()
    low, high = drawn[0].axes[-1].get_ylim()
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    labels = [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]
    labels = [label for label in labels if label]
    assert 1 <= len(labels) <= 8
    assert len(set(labels)) == len(labels)
