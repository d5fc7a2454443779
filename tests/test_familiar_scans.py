"""Scans far from the training images, as a net sees them, are told of."""

import numpy as np
import pytest

from brainseg_jax.data import modalities
from brainseg_jax.runs import familiarity, volumes
from brainseg_jax.runs.embedder import Embedder
from brainseg_jax.runs.familiarity import Familiarity
from tests.small_scans import affine_of, noise, restored, write_case


@pytest.fixture
def asked(monkeypatch):
    """What a net was asked for the vectors of; it has one direction for all."""
    seen = []

    def embed(images, scaling):
        seen.append([one.shape for one in images])
        assert len(scaling) == len(images)
        return np.tile(np.array([[0.0, 1.0]]), (len(images), 1))

    monkeypatch.setattr(familiarity, "make_embedder", lambda *_: Embedder(4, embed))
    return seen


@pytest.mark.parametrize(
    "window, shown",
    [((4, 4, 4), [(6, 5, 7, 1)]), ((4, 4), [(5, 7, 1)] * 4)],
)
def test_a_scan_is_judged_as_a_volume_or_by_some_slices(
    asked, tmp_path, monkeypatch, window, shown
):
    voxels = noise((7, 5, 6), 0) + 1  # nothing to crop
    folder = write_case(
        tmp_path / "in", "a", {"t1": voxels}, affine_of("RAS", (1, 1, 1), voxels.shape)
    )
    net, out = restored(("t1",), window=window), tmp_path / "out"
    found = modalities.find_volumes([folder])

    def warnings(*usual):
        monkeypatch.setattr(familiarity, "read_all", lambda *_: [*usual])
        judge = familiarity.judge_of("run", net)
        (row,) = volumes.predict(net, found, out, "axial", judge=judge)
        return row["warnings"]

    assert warnings() == "" and not asked
    like = Familiarity(np.array([[0.0, 1.0]]), (0.0, 0.1))
    assert warnings(like) == "" and asked == [shown]
    # The same masks, but not the same rows: the vectors are asked for again.
    far = Familiarity(np.array([[1.0, 0.0]]), (0.0, 0.2))
    assert "as the model sees them, is 1, that of" in warnings(far)
    assert "as the model sees them, is 1, that of" in warnings(far)  # from the table
    assert len(asked) == 2
