"""A page for each patient: which slices are on it, and that it can be drawn of anything."""

import cv2
import numpy as np
import pytest

from brainseg_jax.inference import key_images, outlines
from brainseg_jax.inference.key_images import Key
from brainseg_jax.runs import picture_outputs
from tests import tiny_nets
from tests.test_predictions import given, run, write  # noqa: F401


def key(size, name="a", shape=(20, 30)):
    mask = np.zeros(shape, np.uint8)
    mask[2 : 2 + size, 3 : 3 + size] = 1
    return Key(np.full((*shape, 1), 50, np.uint8), mask, name)


def test_the_largest_are_kept_and_empty_ones_left_out():
    keys = []
    for size in (3, 0, 9, 5, 7, 0):
        keys = key_images.largest(keys, key(size))
    assert [one.marked for one in keys] == [81, 49, 25]


def test_a_page_shows_the_contours(tmp_path):
    path = key_images.write_page(tmp_path / "a.png", "P1", [key(5), key(8)], ["said"])
    page = cv2.imread(str(path))[..., ::-1]
    green = (page == outlines.PREDICTION).all(-1)
    # 16 times as large: a line around 5 x 5 pixels of 16, 4 * (80 - 1) long.
    scale = min(key_images.HEIGHT / 20, key_images.WIDTH / 30)
    lines = sum(4 * (size * scale - 1) for size in (5, 8))
    assert green.sum() == pytest.approx(lines, rel=0.05)


def test_a_page_without_tumour_has_words_alone(tmp_path):
    path = key_images.write_page(tmp_path / "a.png", "P1", [], ["nothing is marked"])
    page = cv2.imread(str(path))
    assert page.shape[0] < 200 and page.min() < 100


def test_sizes_are_in_mm_where_they_are_known():
    known = key(4)._replace(spacing=(0.5, 2.0), name="x.dcm")
    assert key_images._figures(known)[:2] == ["x.dcm", "16 mm2, picture left"]
    assert key_images._figures(key(4))[1] == "16 pixels, picture left"


def test_each_patient_gets_one(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    for patient in ("P1", "P2"):
        for number in range(4):
            size = 2 * number
            boxes = [(3, 5, size, 2)] if size else []
            write(tmp_path / "in" / f"{patient}_{number}.png", boxes)
    run(tmp_path, also=["pages"])
    pages = {path.name for path in (tmp_path / "out").glob("*_page.png")}
    assert pages == {"P1_page.png", "P2_page.png"}


def test_a_lone_file_gives_its_page_its_name(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    write(tmp_path / "in" / "left side.png")
    write(tmp_path / "in" / "scan 1.png")
    run(tmp_path, also=["pages"])
    pages = {path.name for path in (tmp_path / "out").glob("*_page.png")}
    assert pages == {"left side_page.png", "scan_page.png"}


def test_a_stopped_run_has_the_pages_of_whole_patients(given, tmp_path, monkeypatch):  # noqa: F811
    given(tiny_nets.restored(batch=8))
    for patient in ("P1", "P2"):
        for number in range(8):
            write(tmp_path / "in" / f"{patient}_{number}.png")
    write_row = picture_outputs.write

    def stop_at_the_second(example, *parts):
        if "P2" in example.path.name:
            raise KeyboardInterrupt
        return write_row(example, *parts)

    monkeypatch.setattr(picture_outputs, "write", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, also=["pages"])
    pages = {path.name for path in (tmp_path / "out").glob("*_page.png")}
    assert pages == {"P1_page.png"}
