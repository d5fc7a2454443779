"""Slices unlike those of training are told of; others are not."""

import types

import cv2
import numpy as np
import pytest

from brainseg_jax.data import profiles
from tests import tiny_nets
from tests.test_predictions import given, run, write  # noqa: F401


def head(seed, shape=(40, 40)):
    """Grey, brighter to the front, with a skull; each a little other than the next."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape) - np.array(shape).reshape(2, 1, 1) / 2 + 0.5
    inside = (y / shape[0]) ** 2 * 6 + (x / shape[1]) ** 2 * 9 < 1
    image = np.where(inside, 120 - 2 * y, 2) * rng.uniform(0.8, 1.2)
    return (image + rng.normal(0, 2, shape)).clip(0, 255).astype(np.uint8)[..., None]


def source(patients=8, slices=5, dimensions=2):
    images = [head(k) for k in range(patients * slices)]
    names = [f"p{k // slices}" for k in range(len(images))]
    return types.SimpleNamespace(
        info=types.SimpleNamespace(dimensions=dimensions),
        patients=names,
        read_stored=lambda k: (images[k], None),
    )


def test_like_ones_are_left_in_peace_and_unlike_ones_are_named():
    known = profiles.profile(source())
    others = [head(100 + k) for k in range(6)]
    assert profiles.unlike(others, known) == ()
    for change, named in [
        (lambda one: one[::-1], "turned or upside down"),
        (lambda one: np.rot90(one), "turned or upside down"),
        (lambda one: 255 - one, "its correlation"),
        (lambda one: one // 8, "its brightest hundredth"),
        (lambda one: one[:20], "its height in pixels is 20, theirs are 40 to 40"),
    ]:
        said = " ".join(profiles.unlike([change(one) for one in others], known))
        assert named in said, named


def test_of_a_lone_slice_only_the_size_is_judged():
    known = profiles.profile(source())
    assert profiles.unlike([head(0)[::-1]], known) == ()
    assert len(profiles.unlike([head(0)[:, :30]], known)) == 1
    assert profiles.unlike([np.zeros((40, 40, 1), np.uint8)], known) == ()


@pytest.mark.parametrize("turned", [False, True])
def test_the_warning_is_in_the_row(given, tmp_path, caplog, turned):  # noqa: F811
    made = tiny_nets.restored()
    about = made.record.about
    about.data["profile"] = profiles.profile(source())
    given(made)
    for k in range(4):
        path = write(tmp_path / "in" / f"p_{k}.png")
        image = head(50 + k)[..., 0]
        cv2.imwrite(str(path), image[::-1] if turned else image)
    rows = run(tmp_path)
    told = ["unlike the training images" in row["warnings"] for row in rows]
    assert told == [turned] * 4
    assert ("in is unlike the training images" in caplog.text) == turned
