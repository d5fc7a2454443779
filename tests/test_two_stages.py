"""Two stages: verdicts and scores by hand, folds that have to agree, pictures."""

import csv
import dataclasses
import json
import pathlib
import re
import types

import cv2
import numpy as np
import pytest

from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import two_stages as judged
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.modes import pipeline
from brainseg_jax.reports.parts import two_stage_figures, two_stage_tables
from brainseg_jax.runs import results, two_stage_pictures, two_stage_scores, two_stages
from brainseg_jax.runs.cards import Card
from tests import tiny_nets
from tests.test_predictions import write
from tests.test_records import make_about

PATIENTS = ["a", "a", "a", "b", "b"]


def counts(hits, wrong, missed):
    """Of five slices of 100 pixels and one class."""
    parts = [np.array(part)[:, None] for part in (hits, wrong, missed)]
    return Counts(*parts, 100 - sum(parts))


def staged():
    """Slices with tumour: 0, 1 and 3. The classifier misses 1 and falsely calls 4."""
    return judged.Staged(
        probability=np.array([0.9, 0.2, 0.1, 0.8, 0.7]),
        called=np.array([1, 0, 0, 1, 1], bool),
        alone=counts([10, 5, 0, 4, 0], [0, 0, 8, 0, 2], [0, 5, 0, 4, 0]),
        together=counts([10, 0, 0, 4, 0], [0, 0, 0, 0, 2], [0, 10, 0, 4, 0]),
        marked_true=np.array([10, 10, 0, 8, 0]),
        marked_alone=np.array([10, 5, 8, 4, 2]),
        marked_together=np.array([10, 0, 0, 4, 2]),
    )


def test_a_mask_says_tumour_by_its_area():
    found = judged.verdicts(staged(), 4)
    assert found["classifier"].tolist() == [True, False, False, True, True]
    assert found["segmenter_alone"].tolist() == [True, True, True, False, False]
    assert found["two_stages"].tolist() == [True, False, False, False, False]


def test_reports_of_several_segmenters_lie_beside_those_of_one(tmp_path):
    about = make_about()
    name, other = about.config["data"]["name"], "folder/ours"
    one, two = (
        two_stages.Stage(
            w, types.SimpleNamespace(record=types.SimpleNamespace(about=about)), None
        )
        for w in (f"{tmp_path}/a", f"{tmp_path}/a,{tmp_path}/b")
    )
    found = [
        pipeline.report_folder(stage, data, "fold_3+fold_4").relative_to(tmp_path)
        for stage, data in ((one, name), (two, name), (one, other))
    ]
    assert [*map(str, found)] == [
        "a/pipeline/fold_3_fold_4",
        "a/pipeline/ensemble_of_2_with_b/fold_3_fold_4",
        "a/pipeline/folder_ours_fold_3_fold_4",
    ]


def test_wrong_slices_are_counted_by_patient():
    found = judged.verdicts(staged(), 0)
    wrong = {
        way: judged.wrong_by_patient(staged().tumour, own, PATIENTS)
        for way, own in found.items()
    }
    assert wrong == {
        "classifier": {"a": (0, 1), "b": (1, 0)},
        "segmenter_alone": {"a": (1, 0), "b": (1, 0)},
        "two_stages": {"a": (0, 1), "b": (1, 0)},
    }
    matrix = judged.confusion(staged().tumour, found["classifier"])
    assert matrix.tolist() == [[1, 1], [1, 2]]


def test_what_is_gained_over_the_segmenter_alone():
    gained = judged.differences(staged(), PATIENTS, "one")
    # Patient a: 2*10/(20+10) against 2*15/(30+8+5); b is the same in both.
    of_a = 20 / 30 - 30 / 43
    assert gained["patient_dice"]["difference"] == pytest.approx(of_a / 2)
    assert gained["patient_dice"]["worse"] == gained["patient_dice"]["equal"] == 1
    # Slice 1 loses its 2/3, slice 2 gains 1, for nothing is marked where nothing is.
    assert gained["slice_dice"]["difference"] == pytest.approx((1 - 2 / 3) / 5)
    assert gained["slice_dice"]["slices"] == 5
    tumour = gained["slice_dice_tumour"]
    assert tumour["difference"] == pytest.approx(-2 / 9) and tumour["slices"] == 3
    # Of two patients a draw has one alone, too: a's tumours, or b's.
    assert (tumour["low"], tumour["high"]) == (pytest.approx(-1 / 3), 0)


def test_slices_of_each_kind_are_drawn_once():
    assert two_stage_figures.chosen(staged()) == {
        "the largest tumour called": 0,
        "the smallest tumour called": 3,
        "the largest tumour missed": 1,
        "the largest false mask": 4,
        "the largest false mask spared": 2,
    }


class Slices(list):
    """A split of them, by their keys."""

    patients, slices = PATIENTS, [1, 2, 3, 1, 2]

    @property
    def keys(self):
        return self


def test_the_columns_are_those_that_are_described():
    source, ways = Slices("vwxyz"), {"empty": "one", "least_area": 0}
    rows = two_stage_tables.by_slice(staged(), source, **ways)
    assert list(rows[0]) == list(two_stage_tables.SLICES)
    patients = two_stage_tables.by_patient(staged(), source, **ways)
    named = {re.sub(r"^.*(?=_false_)", "<way>", name) for name in patients[0]}
    assert named == {*two_stage_tables.PATIENTS}
    told = two_stage_figures.scores(patients)["Slices rightly told"]
    # Of a's three and b's two slices one is wrong, whichever way.
    assert told["Two stages"] == pytest.approx([2 / 3, 1 / 2])
    assert patients[0]["slices_spared"] == 2 and patients[1]["slices_spared"] == 0
    assert patients[0]["dice_two_stages"] == pytest.approx(2 / 3, abs=1e-6)


@pytest.mark.parametrize(
    "columns",
    [
        two_stage_tables.SLICES,
        two_stage_tables.PATIENTS,
        two_stage_pictures.COLUMNS,
    ],
)
def test_the_page_has_every_column(columns):
    page = (pathlib.Path(__file__).parent.parent / "docs" / "pipeline.md").read_text()
    rows = "\n".join(f"| `{name}` | {said} |" for name, said in columns.items())
    assert f"| what it says |\n|---|---|\n{rows}\n" in page


def stage(name, trained, chosen, **changed):
    """A run of a tiny net, whose data set has four patients in four folds."""
    made = tiny_nets.restored(**changed)
    data = {**made.record.about.data, "folds": {f"p{k}": k for k in range(4)}}
    about = dataclasses.replace(
        made.record.about,
        data=data,
        trained_patients=trained,
        validation_patients=chosen,
    )
    record = made.record._replace(about=about)
    return two_stages.Stage(name, made._replace(record=record), None)


def test_stages_have_to_be_of_the_same_folds():
    one = stage("c", ("p0", "p1"), ("p2",), task="classification")
    same = two_stages.Pair(one, stage("s", ("p1", "p0"), ("p2",)))
    assert two_stages.other_folds(same) == ""
    other = two_stages.Pair(one, stage("s", ("p0", "p2"), ("p1",)))
    assert two_stages.other_folds(other) == (
        "CONTAMINATED: classifier and segmenter are of other folds, 2 patients that only "
        "one was trained on and 2 patients that only one was validated on"
    )
    with pytest.raises(ValueError, match="other folds.*or add --allow_contaminated"):
        two_stages.refuse_other_folds(other)


def test_a_patient_without_a_slice_with_tumour_is_of_the_folds_all_the_same():
    one = stage("c", ("p0", "p1"), ("p2",), task="classification")
    about = one.about
    twin = dataclasses.replace(about, data={**about.data, "folds": {"p0": 0, "p1": 0}})
    of_fold = one._replace(
        restored=one.restored._replace(record=one.restored.record._replace(about=twin))
    )
    lacking = dataclasses.replace(twin, trained_patients=("p0",))
    other = of_fold._replace(
        restored=one.restored._replace(
            record=one.restored.record._replace(about=lacking)
        )
    )
    assert two_stages.other_folds(two_stages.Pair(of_fold, other)) == ""


def test_masks_are_mended_once_what_is_not_called_is_gone():
    """The largest part is that of the called slices, and does not reach across a gap."""
    small, large = np.zeros((2, 8, 8, 1), np.uint8)
    small[:2, :2], large[:4, :4] = 1, 1
    own = [(0, small, small), (1, large, large), (2, small, small)]
    called = np.array([True, False, True])
    masks = list(two_stage_scores._mended(own, called, Rules(largest=True)))
    assert [int(one.alone.sum()) for one in masks] == [4, 16, 4]
    assert [int(one.together.sum()) for one in masks] == [4, 0, 0]


@pytest.fixture
def given(monkeypatch):
    """Lets --classifier=c call what is bright on the whole, --segmenter=s mark it."""
    nets = {
        "c": tiny_nets.restored(task="classification"),
        "s": tiny_nets.restored(),
    }
    cards = {}
    monkeypatch.setattr(two_stages.ensembles, "restore_all", nets.__getitem__)
    monkeypatch.setattr(
        two_stages.ensembles, "card_of", lambda workdir, _: cards.get(workdir)
    )
    return nets, cards


def run(tmp_path, **options):
    return pipeline.on_pictures(
        "c", "s", [str(tmp_path / "in")], str(tmp_path / "out"), **options
    )


LARGE, SMALL = [(0, 0, 20, 20)], [(3, 5, 4, 2)]


def test_what_is_called_tumour_alone_is_segmented(given, tmp_path, caplog):
    write(tmp_path / "in" / "a.png", LARGE)
    write(tmp_path / "in" / "b.png", SMALL)
    large, small = run(tmp_path)
    known = {*two_stage_pictures.COLUMNS, *results.COLUMNS}
    assert {*large, *small} <= known
    assert large["has_tumour"] and large["called"] and large["pixels"] == 400
    assert large["probability"] > 0.99 and large["mask"] == "masks/a_mask.png"
    assert not small["has_tumour"] and not small["called"] and small["mask"] == ""
    assert small["probability"] < 0.01 and small["pixels"] == 0
    mask = cv2.imread(str(tmp_path / "out" / large["mask"]), cv2.IMREAD_UNCHANGED)
    assert (mask > 0).sum() == 400
    assert not (tmp_path / "out" / "masks" / "b_mask.png").exists()
    with (tmp_path / "out" / "predictions.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert [row["has_tumour"] for row in cells] == ["True", "False"]
    with caplog.at_level("INFO"):
        assert run(tmp_path) == [large, small]
    assert "2 of 2 images are predicted already" in caplog.text


def test_a_mask_too_small_is_no_tumour(given, tmp_path):
    write(tmp_path / "in" / "a.png", LARGE)
    (row,) = run(tmp_path, least_area=400)
    assert row["called"] and not row["has_tumour"] and row["pixels"] == 400
    assert run(tmp_path, least_area=399)[0]["has_tumour"]


def test_a_volume_is_normalised_and_mended_with_all_its_slices(given, tmp_path):
    nets, cards = given
    nets["s"] = tiny_nets.restored(normalisation="volume_unit")
    cards["s"] = Card(Rules(largest=True), None, None)
    write(tmp_path / "in" / "p_1.png", LARGE)
    write(tmp_path / "in" / "p_2.png", SMALL)
    write(tmp_path / "in" / "p_3.png", [(0, 0, 20, 19)])
    rows = run(tmp_path)
    # Slice 2 is not called, and so it joins no parts of slices 1 and 3.
    assert [row["pixels"] for row in rows] == [400, 0, 0]
    masks = json.loads((tmp_path / "out" / "masks" / "predictions.json").read_text())
    assert {row["normalised_by"] for row in masks["predictions"]} == {"3 slices"}


def test_a_file_that_cannot_be_read_is_told_at_the_end(given, tmp_path):
    write(tmp_path / "in" / "a.png", LARGE)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match="1 of 2 files could not be predicted"):
        run(tmp_path)
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [row["mask"] for row in said["predictions"]] == ["masks/a_mask.png"]
    assert "b.png" in said["failed"][0]["file"]


@pytest.mark.parametrize(
    "given, said",
    [
        ({"segmenter": ""}, "needs --classifier=<folder of a run> and --segm"),
        ({"workdir": "w"}, "leave out --workdir=w"),
        ({"least_area": -1}, "--least_area=-1 has to be 0 or more pixels"),
        ({"inputs": ["a"], "split": "fold_4"}, "give one of them"),
        ({"inputs": ["a"]}, "with --inputs needs --outputs"),
        ({"also": ["pages"]}, "--also is of --inputs"),
        ({"inputs": ["a"], "data_dir": "d"}, "--data_dir is of a split"),
        ({"inputs": ["a"], "allow_contaminated": True}, "--allow_contaminated is of"),
    ],
)
def test_what_is_missing_or_too_much_is_a_sentence(given, said):
    usual = dict(classifier="c", segmenter="s", workdir=None, least_area=0)
    usual |= dict(inputs=[], split="", outputs="", also=[])
    usual |= dict(data_name="", data_dir="", allow_contaminated=False)
    with pytest.raises(ValueError, match=said):
        pipeline._check_flags(types.SimpleNamespace(**{**usual, **given}))


def test_scans_and_what_is_not_of_slices_are_refused(given, tmp_path):
    write(tmp_path / "in" / "a.png", LARGE)
    with pytest.raises(ValueError, match="--also has 'stl'; of slices it can have"):
        run(tmp_path, also=["stl"])
    (tmp_path / "in" / "b.nii.gz").touch()
    with pytest.raises(ValueError, match="b.nii.gz is a scan, and two stages are of"):
        run(tmp_path)


def test_models_that_do_not_go_together_are_refused(given):
    nets, _ = given
    with pytest.raises(
        ValueError, match="--classifier=s holds a model of segmentation"
    ):
        two_stages.open_pair("s", "s")
    with pytest.raises(ValueError, match="--segmenter=c holds a model of classificat"):
        two_stages.open_pair("c", "c")
    nets["grey"] = tiny_nets.restored(channels=("t2",))
    with pytest.raises(ValueError, match=r"images of \('t1',\) and grey on \('t2',\)"):
        two_stages.open_pair("c", "grey")


def test_a_classifier_of_kinds_of_tumour_is_refused(given):
    nets, _ = given
    record = nets["c"].record
    data = {**record.about.data, "labels": ["meningioma", "glioma", "pituitary tumour"]}
    about = dataclasses.replace(record.about, data=data)
    nets["kinds"] = nets["c"]._replace(record=record._replace(about=about))
    with pytest.raises(ValueError, match="--classifier=kinds tells meningioma, glioma"):
        two_stages.open_pair("kinds", "s")
