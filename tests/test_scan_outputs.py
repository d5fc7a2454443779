"""A folder of predicted scans: its page and table, bad cases, and a second command."""

import csv
import dataclasses
import gzip
import pathlib
import re

import nibabel
import numpy as np
import pytest

from brainseg_jax.data import modalities, scans
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.inference import key_images
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.modes import predict
from brainseg_jax.runs import scan_outputs, volumes
from tests import small_scans
from tests.small_scans import BRATS, LGG, affine_of, noise, restored, write_case

compiled_once = small_scans.compiled_once


def test_the_page_of_a_scan_says_its_sides_and_the_note(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        key_images, "write_page", lambda path, title, keys, lines: said.extend(lines)
    )
    write_case(
        tmp_path / "in",
        "a",
        {name: noise((4, 4, 3), 1) for name in ("t1", "flair", "t1ce")},
        affine_of("RAS", (1, 1, 1), (4, 4, 3)),
    )
    net = restored(LGG, window=(4, 4))
    about = dataclasses.replace(net.record.about, note="PHANTOM: synthetic data")
    noted = net._replace(record=net.record._replace(about=about))
    found = modalities.find_volumes([tmp_path / "in"])
    volumes.predict(noted, found, tmp_path / "out", "axial", also=["pages"])
    assert said[1:] == [scan_outputs.SIDES_SAID, "PHANTOM: synthetic data"]


def test_scans_are_counted_and_pictures_among_them_are_told_of(
    tmp_path, monkeypatch, caplog
):
    folder = write_case(tmp_path / "in", "a", {"t1": noise((5, 4, 3), 0)}, np.eye(4))
    (folder / "b.png").touch()
    net = restored(("t1",), window=(4, 4, 4))
    monkeypatch.setattr(predict.ensembles, "restore_all", lambda workdir: net)
    monkeypatch.setattr(predict.ensembles, "card_of", lambda *_: None)
    with caplog.at_level("INFO"):
        predict.predict("run", [str(folder)], str(tmp_path / "out"))
    assert "1 scans predicted in " in caplog.text and "Not for diagnosis" in caplog.text
    assert "Left out 1 pictures among the scans" in caplog.text


def spoil_name(folder):
    (folder / "a_t1ce.nii.gz").rename(folder / "a_contrast.nii.gz")


def spoil_bytes(folder):
    path = folder / "a_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def spoil_kind(folder):
    (folder / "a_t2.nii.gz").write_bytes(gzip.compress(b"no scan at all"))


def replace_t2(folder, voxels, affine=None):
    affine = affine_of("LPS", (1, 1, 1), (5, 4, 3)) if affine is None else affine
    nibabel.Nifti1Image(voxels, affine).to_filename(folder / "a_t2.nii.gz")


def other_place(folder):
    replace_t2(folder, noise((5, 4, 3), 0), affine_of("RPS", (1, 1, 1), (5, 4, 3)))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (spoil_name, r"a has no file for t1ce; there are: .* needs <case>_flair.nii.gz"),
        (spoil_bytes, r"a_t2.nii.gz cannot be read as NIfTI .*: it is cut short"),
        (spoil_kind, r"a_t2.nii.gz cannot be read as NIfTI"),
        (lambda f: replace_t2(f, noise((5, 4, 4), 0)), r"a_t2.* has 5 x 4 x 4 voxels, but"),
        (lambda f: replace_t2(f, np.full((5, 4, 3), np.nan)), "a_t2.* no numbers"),
        (lambda f: replace_t2(f, np.ones((5, 4, 3), "c8")), "a_t2.*complex64"),
        (lambda f: replace_t2(f, noise((5, 4, 3, 2), 0)), "axes whose last has these 4"),
        (other_place, r"a_t2.* lies up to .* mm from where a_flair"),
        (
            lambda f: (f / "b_t2w.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            "b has no file for flair",
        ),
        (
            lambda f: (f / "a_t2w.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            "two files for t2, a_t2.nii.gz and a_t2w.nii.gz",
        ),
        (
            lambda f: (f / "scan.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            r"scan.nii.gz has 5 x 4 x 3 voxels; the model needs <case>_flair",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_the_other_cases_are_predicted(tmp_path, spoil, said):
    shape = (5, 4, 3)
    parts = {name: noise(shape, seed) for seed, name in enumerate(BRATS)}
    affine = affine_of("LPS", (1, 1, 1), shape)
    folder = write_case(tmp_path / "in", "a", parts, affine)
    write_case(folder, "good", parts, affine)
    spoil(folder)
    net, out = restored(BRATS, window=(4, 4, 4)), tmp_path / "out"
    with pytest.raises(UnreadableImage, match=rf"(?s)^[12] of [23] cases .*{said}"):
        volumes.predict(net, modalities.find_volumes([folder]), out, axis="axial")
    table = csv.DictReader((out / "predictions.csv").read_text().splitlines())
    rows = {row["volume"]: row for row in table}
    assert rows["good"]["fault"] == "" and (out / rows["good"]["mask"]).is_file()
    bad = [row for row in rows.values() if row["fault"]]
    assert any(re.search(said, row["fault"]) for row in bad)
    for row in bad:
        assert row["mask"] == "" and not (out / f"{row['volume']}_mask.nii.gz").exists()


def test_a_second_command_predicts_what_is_not_done(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "abc":
        write_case(folder, name, {"t1": noise((5, 4, 3), 0)}, np.eye(4))
    (folder / "b_t1.nii.gz").write_bytes(b"")
    net = restored(("t1",), window=(4, 4, 4))
    read, seen = scans.read, []
    monkeypatch.setattr(
        scans, "read", lambda case, names: seen.append(case.name) or read(case, names)
    )

    def cases_read(rules=volumes.NO_RULES):
        seen.clear()
        found = modalities.find_volumes([folder])
        rows = volumes.predict(net, found, out, "axial", rules)
        assert [row["volume"] for row in rows] == ["a", "b", "c"]
        return "".join(seen)

    with pytest.raises(UnreadableImage, match=r"(?s)1 of 3 cases .*b_t1.nii.gz cannot"):
        cases_read()
    assert "".join(seen) == "abc"  # each once
    write_case(folder, "b", {"t1": noise((5, 4, 3), 1)}, np.eye(4))
    assert cases_read() == "b"
    assert cases_read() == ""
    write_case(folder, "c", {"t1": noise((5, 4, 3), 2)}, np.eye(4))
    (out / "a_mask.nii.gz").unlink()
    assert cases_read() == "ac"
    assert cases_read(Rules(largest=True)) == "abc"  # a mask of other rules is another
    mask = np.asanyarray(nibabel.load(out / "c_mask.nii.gz").dataobj)
    assert mask.sum() == (noise((5, 4, 3), 2) > 0).sum()


def test_equal_names_have_as_many_folders_as_tell_them_apart(tmp_path):
    def case(place):
        return Case("P1", (tmp_path / place / "P1_flair.nii.gz",))

    one, other, third = case("x/P1"), case("y/P1"), case("z")
    assert volumes.output_names([one]) == ["P1"]
    assert volumes.output_names([one, third]) == ["P1_P1", "z_P1"]
    assert volumes.output_names([one, other]) == ["x_P1_P1", "y_P1_P1"]
    with pytest.raises(
        ValueError, match="x/P1/P1_flair.* and .*written under .* x_P1_P1"
    ):
        volumes.output_names([one, case("more/x/P1")])


def test_a_folder_keeps_the_rows_of_earlier_commands(tmp_path, caplog):
    out, net = tmp_path / "out", restored(("t1",), window=(4, 4, 4))

    def after_predicting(folder, names):
        for seed, name in enumerate(names):
            write_case(
                tmp_path / folder, name, {"t1": noise((5, 4, 3), seed)}, np.eye(4)
            )
        found = modalities.find_volumes([tmp_path / folder])
        assert len(volumes.predict(net, found, out, axis="axial")) == len(names)
        rows = csv.DictReader((out / "predictions.csv").read_text().splitlines())
        return sorted(
            (pathlib.Path(row["file"]).parent.name, row["volume"]) for row in rows
        )

    assert after_predicting("one", "ab") == [("one", "a"), ("one", "b")]
    assert "replaced" not in caplog.text
    both = after_predicting("two", "bc")
    assert both == [("one", "a"), ("two", "b"), ("two", "c")]
    assert "two/b_t1.nii.gz: the prediction of" in caplog.text
    (out / "a_mask.nii.gz").unlink()
    assert after_predicting("two", "bc") == [("two", "b"), ("two", "c")]
