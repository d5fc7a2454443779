"""Distances in tables: by slice, by patient, by institution, in a unit that is named."""

import math
import pathlib
import types

import jax
import numpy as np
import pytest

from brainseg_jax import parallel
from brainseg_jax.inference import looking, scoring
from brainseg_jax.metrics import empty_masks, mask_shapes, overlap, surface_distances
from brainseg_jax.metrics.mask_shapes import Measured, Shapes
from brainseg_jax.reports.parts import mask_tables, patient_spread

PAGE = (pathlib.Path(__file__).parent.parent / "docs/metrics.md").read_text()
MEASURED = Measured("pooled", 1.0, "pixels", "one")


class Source(types.SimpleNamespace):
    """Three slices or volumes of two patients, of one class."""

    def __len__(self):
        return 3


def make_source(spacings=(), dimensions=2):
    info = types.SimpleNamespace(dimensions=dimensions, members=((1,),), kinds=())
    return Source(
        info=info,
        spacings=spacings,
        keys=["a1", "a2", "b1"],
        patients=["a", "a", "b"],
        slices=[0, 1, 0],
    )


@pytest.mark.parametrize(
    "spacings, dimensions, unit",
    [
        ((), 2, "pixels"),
        ([(1.0, 1.0, 2.0)] * 3, 3, "mm"),
        ([(1.0, 1.0, 2.0), (1.0, 1.0, 2.0), (math.nan,) * 3], 3, "voxels"),
    ],
)
def test_the_unit_is_mm_where_every_spacing_is_known(spacings, dimensions, unit):
    source = make_source(spacings=spacings, dimensions=dimensions)
    found, said = looking.spacings_of(source)
    assert said == unit and len(found) == 3
    if unit != "mm":
        assert set(found) == {(1.0,) * dimensions}


def test_a_split_is_looked_at_while_it_is_scored():
    masks = np.zeros((3, 8, 8, 1), np.uint8)
    masks[0, 2:5, 2:5] = masks[1, 1:3, 1:3] = 1
    marks = np.roll(masks, 1, 2) > 0
    look = looking.make_look(
        make_source(), convention="pooled", tolerance=1.0, empty="one"
    )
    # Two batches of two, in another order; the last is padded.
    batches = [
        {"mask": masks[places], "valid": np.array(valid), "example": np.array(places)}
        for places, valid in (([2, 0], [True, True]), ([1, 1], [True, False]))
    ]

    def step(variables, resident, batch):
        places = [
            int((masks == one).all((1, 2, 3)).argmax())
            for one in np.asarray(batch["mask"])
        ]
        return {
            "loss": np.array(places),
            "measured": np.array(places),
            "marks": marks[places],
        }

    devices = parallel.Devices("mesh", tuple(jax.devices()[:1]))
    scored = scoring.score(step, {}, {}, batches, devices, look=look)
    assert scored.loss.tolist() == [0, 1, 2] and scored.shapes.measured == look.measured
    for place in range(3):
        expected = surface_distances.score(
            marks[place, ..., 0], masks[place, ..., 0] > 0, (1.0, 1.0),
            convention="pooled", tolerance=1.0, empty="one",
        )  # fmt: skip
        found = [scored.shapes.values[name][place, 0] for name in mask_shapes.DISTANCES]
        assert found == pytest.approx(list(expected))


def counted(*rows):
    return overlap.Counts(*np.array(rows).T[..., None])


def test_a_patients_distance_is_of_slices_in_which_both_masks_are():
    # Both; a missed one; both empty. Then a patient of nothing, and one that is missed.
    counts = counted(
        (5, 1, 1, 9),
        (0, 0, 4, 9),
        (0, 0, 0, 9),
        (0, 0, 0, 9),
        (0, 0, 3, 9),
        (0, 0, 0, 9),
    )
    shapes = Shapes(
        {
            "hd95": np.array([2.0, 100, 0, 0, 100, 0])[:, None],
            "nsd": np.array([0.8, 0, 1, 1, 0, 1])[:, None],
        },
        MEASURED,
    )
    found = mask_shapes.of_groups(shapes, counts, [[0, 1, 2], [3], [4, 5]])
    assert found.values["hd95"][:, 0].tolist() == [2, 0, 100]
    assert found.values["nsd"][:, 0].tolist() == [0.4, 1, 0]
    nothing = shapes._replace(values={"hd95": np.full((6, 1), math.nan)})
    found = mask_shapes.of_groups(nothing, counts, [[0, 1], [3]])
    assert np.isnan(found.values["hd95"]).all()


def test_tables_say_how_distances_were_measured():
    counts = counted((5, 1, 1, 9), (2, 0, 2, 9), (1, 1, 1, 9))
    shapes = Shapes({"hd95": np.array([[1.0], [3.0], [4.0]])}, MEASURED)
    scored = scoring.Scored(np.zeros(3), counts, shapes)
    source = make_source()
    rows = mask_tables.by_slice(scored, source, ["tumour"], "one")
    assert [row["hd95"] for row in rows] == [1, 3, 4]
    rows = mask_tables.by_patient(scored, source, ["tumour"], "one")
    assert [row["hd95"] for row in rows] == [2, 4]
    assert rows[0]["volume_difference"] == pytest.approx(-2 / 10)
    for row in rows:
        said = {key: row[key] for key in patient_spread.HOW}
        assert said == {
            "empty_masks": "one", "convention": "pooled", "tolerance": 1,
            "unit": "pixels", "distances_of_patient": "mean over slices",
        }  # fmt: skip


ROWS = [
    {"patient": one, "class": name, "dice": dice, "empty_masks": "nan"}
    for one, dices in {"a": (0.5, 0.7), "b": (0.9, math.nan), "c": (0.4, 0.8)}.items()
    for name, dice in zip(("WT", "ET"), dices, strict=True)
]


def test_the_spread_over_patients_by_hand():
    found = patient_spread.rows_of(ROWS, {"a": "CS", "b": "CS", "c": "DU"})
    by = {(row["class"], row["institution"]): row for row in found}
    whole = by["WT", "all"]
    assert whole["n"] == 3 and whole["mean"] == pytest.approx(0.6)
    assert whole["median"] == 0.5
    # Squares of -.1, .3 and -.2 from the mean, over two.
    assert whole["std"] == pytest.approx(math.sqrt(0.14 / 2))
    assert 0.4 <= whole["low"] < 0.6 < whole["high"] <= 0.9
    assert by["ET", "all"]["n"] == 2 and by["ET", "CS"]["n"] == 1
    # b has one class alone.
    mean = by[patient_spread.MEAN, "all"]["mean"]
    assert mean == pytest.approx((0.6 + 0.9 + 0.6) / 3)
    assert math.isnan(by["ET", "CS"]["std"]) and math.isnan(by["ET", "CS"]["low"])
    assert {row["empty_masks"] for row in found} == {"nan"}


def test_what_is_printed_names_policy_convention_and_unit():
    said = {
        "empty_masks": "brats2021",
        "surface_distances": {
            "convention": "pooled", "tolerance": 1.0, "unit": "mm",
            "of_patient": "mean over volumes",
        },
    }  # fmt: skip
    rows = patient_spread.rows_of([{**row, "hd95": 3.0} for row in ROWS], {})
    table = patient_spread.in_words(rows, said, "PHANTOM")
    assert table.caption == (
        "empty masks: brats2021; surface distances: pooled, mean over volumes; "
        "tolerance: 1 mm"
    )
    names = [*table.columns[0].cells]
    assert "HD95 (mm), WT" in names and "PHANTOM" in table.title


def test_each_head_has_its_own_policies_below_it():
    said = {"empty_masks": "one", "undefined": "nan"}
    rows = [{"patient": name, "accuracy": 0.5} for name in "ab"]
    of_classes = patient_spread.rows_of(rows, {})
    assert patient_spread.caption(of_classes, said) == "undefined scores: nan, left out"
    of_masks = patient_spread.rows_of(ROWS, {})
    assert patient_spread.caption(of_masks, said) == "empty masks: one"


def test_lines_of_distances_are_of_all_patients_and_classes():
    rows = patient_spread.rows_of(
        [{**row, "hd95": 3.0, "unit": "mm", "lesion_f1": 0.5} for row in ROWS], {}
    )
    lines = patient_spread.of_shapes(rows, "after post-processing")
    assert lines == {
        "HD95 (mm) after post-processing": "3.000 (3.000 to 3.000)",
        "lesion-wise F1 after post-processing": "0.500 (0.500 to 0.500)",
    }


def table_rows(heading):
    """Cells of the table whose first heading is this, without ticks."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_every_policy_and_convention_as_they_are():
    def cell(value):
        if math.isnan(value):
            return "left out"
        return "far" if value == empty_masks.FAR else f"{value:g}"

    policies = {name: [*map(cell, own)] for name, own in empty_masks.POLICIES.items()}
    assert {name: rest for name, *rest in table_rows("policy")} == policies
    conventions = {name: surface for name, surface, *_ in table_rows("convention")}
    known = surface_distances.CONVENTIONS
    assert conventions == {name: own.surface for name, own in known.items()}


def test_the_page_has_whatever_a_patients_distances_may_be():
    named = {name for name, *_ in table_rows("`distances_of_patient`")}
    assert named == {*mask_shapes.MEANS.values(), mask_shapes.STACKED}


def test_the_page_has_every_column():
    known = {*patient_spread.OF_MASKS, "tversky"}
    assert {name for name, *_ in table_rows("column")} == known
    assert known >= {*mask_shapes.DISTANCES, *mask_shapes.LESIONS}
