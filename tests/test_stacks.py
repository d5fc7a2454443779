"""Slices stacked to a patient's volume, where it is known how far apart they are."""

import types

import numpy as np
import pytest

from brainseg_jax.data import sources
from brainseg_jax.inference import looking, stacks
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import overlap
from brainseg_jax.reports.parts import mask_tables
from datasets.folder import settings as folder_settings
from tests import small_folder

MM = (5.0, 2.0, 1.0)  # between slices, rows and columns
NUMBERS = {"p": (1, 2, 3), "q": (4, 5, 6)}


class Source(types.SimpleNamespace):
    def __len__(self):
        return len(self.patients)


def source(numbers=NUMBERS, spacing=MM, shape=(12, 10)):
    patients = [name for name, own in numbers.items() for _ in own]
    return Source(
        info=types.SimpleNamespace(dimensions=2, members=((1,),), kinds=()),
        patients=patients,
        keys=patients,
        slices=[number for own in numbers.values() for number in own],
        shapes=[shape] * len(patients),
        spacings=[spacing] * len(patients) if spacing else (),
        labels=np.zeros(len(patients), int),
    )


def box(rows, columns, slices=range(3), shape=(3, 12, 10)):
    mask = np.zeros((*shape, 1), np.uint8)
    mask[np.ix_([*slices], rows, columns)] = 1
    return mask


def look_at(found, truth, order):
    """What is seen of two patients of three slices, whose masks these are."""
    own = source()
    look = looking.make_look(own, convention="pooled", tolerance=2.0, empty="nan")
    seen = {place: look.score(place, found[place] > 0, truth[place]) for place in order}
    counts = overlap.counts(found > 0, truth > 0)
    shapes = looking.in_order(seen, look)
    return mask_tables.by_patient(
        Scored(np.zeros(6), counts, shapes), own, ["tumour"], "nan"
    )


@pytest.mark.parametrize("order", [range(6), (5, 0, 3, 1, 4, 2)])
def test_a_patients_distance_is_that_of_the_stacked_masks(order):
    """Also where slices of several patients come mixed."""
    truth = np.concatenate([box([4, 5], [4, 5])] * 2)
    # p: one row farther; q: nothing in its uppermost slice, 5 mm below the next.
    found = np.concatenate([box([5, 6], [4, 5]), box([4, 5], [4, 5], range(2))])
    first, second = look_at(found, truth, order)
    # Two of four voxels of each slice lie on one another, the others 2 mm off.
    assert (first["hd95"], first["assd"]) == (2, 1)
    # Of 12 + 8 voxels all are border; four are 5 mm off: a percentile of 95 is 5.
    assert (second["hd95"], second["assd"]) == (5, 1)
    assert (first["nsd"], second["nsd"]) == (1, 16 / 20)
    # 12 voxels of 10 mm3 are more than 50: they count as a lesion.
    assert second["lesion_f1"] == 1 and second["lesion_dice"] == pytest.approx(0.8)
    assert first["ml_true"] == pytest.approx(0.12)
    assert first["distances_of_patient"] == "of its stacked slices"
    assert first["unit"] == "mm"


@pytest.mark.parametrize(
    "given, said",
    [
        (source({"p": (1, 2, 4), "q": (1, 2, 3)}), "mm"),  # one is missing
        (source(spacing=()), "pixels"),
    ],
)
def test_what_is_no_volume_has_means_over_slices(given, said):
    assert not stacks.can_stack(given)
    look = looking.make_look(given, convention="pooled", tolerance=2.0, empty="nan")
    assert look.measured.of_patient == "mean over slices"
    assert look.measured.unit == said and look.stacks is None
    truth = box([4, 5], [4, 5])[0]
    # A row more on one side: 1 pixel, or 2 mm.
    found = look.score(0, box([4, 5, 6], [4, 5])[0] > 0, truth)
    assert found["hd95"] == (2 if said == "mm" else 1)


def test_the_owner_says_how_far_apart_slices_are(tmp_path):
    for number, name in enumerate(small_folder.names()):
        for part, pixels in (("images", small_folder.picture(number)),
                             ("masks", small_folder.mask(number))):  # fmt: skip
            small_folder.write(tmp_path / "raw" / part / f"{name}.png", pixels)
    small_folder.build(tmp_path / "raw", tmp_path / "data", spacing=MM)
    opened = sources.open_split(
        "folder/mine", "fold_0", tmp_path / "data", size=(16, 16),
        normalisation={"name": "unit"}, only_tumour=False,
    )  # fmt: skip
    assert {*opened.spacings} == {MM} and stacks.can_stack(opened)


def test_a_spacing_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"spacing is \(5, 1\): it has the mm between"):
        small_folder.build("", tmp_path, spacing=(5, 1))


def test_sets_that_were_prepared_before_it_was_asked_are_as_they_were():
    known = folder_settings.to_record(folder_settings.read(small_folder.settings()))
    older = {key: value for key, value in known.items() if key != "spacing"}
    now = folder_settings.read(small_folder.settings())
    assert folder_settings.differences(now, older) == []
    now = folder_settings.read(small_folder.settings(spacing=MM))
    (said,) = folder_settings.differences(now, older)
    assert said == "config.data.folder.spacing=[] there, [5.0, 2.0, 1.0] now"
