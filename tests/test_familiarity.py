"""Patients far from the training slices, as a net sees them, are told of."""

import types

import numpy as np
import pytest

from brainseg_jax.runs import familiarity
from brainseg_jax.runs.embedder import Embedder
from brainseg_jax.runs.familiarity import Familiarity


def at_angles(degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], -1)


# An image's first pixel is its angle in the plane of features.
EMBEDDER = Embedder(
    8, lambda images, scaling: at_angles([one[0, 0, 0] for one in images])
)


def images(*degrees):
    return [np.full((2, 2, 1), one, np.float32) for one in degrees]


def split(by_patient):
    pairs = [(name, one) for name, own in by_patient.items() for one in images(*own)]
    return types.SimpleNamespace(
        patients=[name for name, _ in pairs],
        scaling=[None] * len(pairs),
        seen=lambda k: (pairs[k][1], None),
    )


def apart(degrees):
    return 1 - np.cos(np.deg2rad(degrees))


def measured():
    training = split({f"t{k}": (k, k + 0.5) for k in range(10)})  # 0 to 9.5 degrees
    return familiarity.measure(
        EMBEDDER, training, split({"near": (5, 5), "far": (12, 14, 16)})
    )


def test_a_patient_is_as_far_as_the_median_slice_from_its_fifth_neighbour():
    known = at_angles(np.arange(10.0))
    # Of 20 degrees the fifth nearest is 5, of 30 and 40 the same: 15, 25 and 35 apart.
    found = familiarity.distance(known, at_angles([40, 20, 30]))
    assert found == pytest.approx(apart(25))
    assert familiarity.distance(known[:2], at_angles([3])) == pytest.approx(apart(3))


def test_validation_patients_say_how_far_is_usual():
    found = measured()
    # Neighbours every half degree: those of 5 are 0, 0.5, 0.5, 1 and 1 degrees apart, and
    # the fifth of 14 is 7.5. The median of 12, 14 and 16 is 14.
    assert found.usual == pytest.approx((apart(1), apart(6.5)), abs=1e-6)
    most = apart(6.5) + 0.5 * (apart(6.5) - apart(1))
    assert found.most == pytest.approx(most, abs=1e-6)


def test_one_far_away_is_told_of_and_others_are_not():
    found = measured()

    def unlike(*degrees):
        return familiarity.unlike(
            [(found, EMBEDDER)], images(*degrees), [None] * len(degrees)
        )

    assert unlike(5, 6, 90) == unlike(14, 14) == ()
    (said,) = unlike(30, 40, 50)  # the fifth nearest of 40 is 7.5
    assert f"as the model sees them, is {apart(32.5):.3g}, that" in said
    assert unlike(90) == ()  # a lone slice


def test_a_lone_volume_is_judged():
    found = Familiarity(at_angles([0.0]), (0.0, apart(10)))
    volume = np.full((2, 2, 2, 1), 60, np.float32)
    (said,) = familiarity.unlike([(found, EMBEDDER)], [volume], [None])
    assert f"is {apart(60):.3g}" in said


def test_several_models_are_asked_each_by_its_own_patients():
    """On the scale of its validation patients the one puts it at 2, the other at 0.5."""
    far, images_of = apart(30), images(30, 30)
    one = Familiarity(at_angles([0.0]), (0.0, far / 2))
    other = Familiarity(at_angles([0.0]), (far / 2, far * 1.5))

    def unlike(*known):
        nets = [(own, EMBEDDER) for own in known]
        return familiarity.unlike(nets, images_of, [None] * 2)

    assert one.standing(far) == pytest.approx(2)
    assert other.standing(far) == pytest.approx(0.5)
    assert unlike(one, other) == ()  # 1.25
    (said,) = unlike(one, one, other)
    assert "is 1.5, mean of 3" in said
    # A single model's bound is the same: beyond 1.5 of its scale.
    assert one.standing(one.most) == pytest.approx(1.5)


def test_of_several_runs_all_have_to_know_how_far_is_usual(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(
        familiarity.restore, "read_best", lambda _: types.SimpleNamespace(step=3)
    )
    found = Familiarity(at_angles([0.0]), (0.1, 0.2))
    both = f"{tmp_path}/a,{tmp_path}/b"
    assert familiarity.read_all(both, 3) == [] and not caplog.text
    familiarity.write(tmp_path / "a", 3, found)
    assert familiarity.read_all(both, 3) == []
    assert "1 of 2 models have no familiarity.npz" in caplog.text
    familiarity.write(tmp_path / "b", 3, found)
    assert [one.usual for one in familiarity.read_all(both, 3)] == [(0.1, 0.2)] * 2
    assert len(familiarity.read_all(f"{tmp_path}/a", 3)) == 1


def test_one_validation_patient_does_not_say_what_is_usual():
    training = split({"t": (0, 1)})
    assert familiarity.measure(EMBEDDER, training, split({"v": (0, 1)})) is None


def test_it_is_of_one_checkpoint(tmp_path, caplog):
    assert familiarity.read(tmp_path, 3) is None
    path = familiarity.write(tmp_path, 3, Familiarity(at_angles([0.0]), (0.1, 0.2)))
    found = familiarity.read(tmp_path, 3)
    assert found.usual == (0.1, 0.2) and found.most == pytest.approx(0.25)
    np.testing.assert_array_equal(found.vectors, [[1, 0]])
    assert familiarity.read(tmp_path, 4) is None
    assert "of the checkpoint of step 3" in caplog.text
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(
        ValueError, match=r"familiarity.npz is damaged .* --mode=postproc"
    ):
        familiarity.read(tmp_path, 3)
