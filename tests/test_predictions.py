"""Pictures of any format predicted in batches, and tables that can be interrupted."""

import csv
import json
import pathlib

import cv2
import h5py
import numpy as np
import pytest

from brainseg_jax.data import image_files
from brainseg_jax.modes import predict
from brainseg_jax.runs import predictor, results
from brainseg_jax.runs.output_names import output_names
from tests import tiny_nets
from tests.test_prediction_docs import is_known


@pytest.fixture
def given(monkeypatch):
    """Lets --workdir be a restored run."""

    def give(restored):
        monkeypatch.setattr(predict.ensembles, "restore_all", lambda workdir: restored)
        return restored

    return give


def picture(boxes, shape=(24, 24)):
    """Bright boxes (left, top, width, height) on grey."""
    image = np.full(shape, 20, np.uint8)
    for left, top, width, height in boxes:
        image[top : top + height, left : left + width] = 250
    return image


def write(path, boxes=((3, 5, 4, 2),), shape=(24, 24)):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), picture(boxes, shape))
    return path


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def run(tmp_path, *, inputs=None, also=()):
    return predict.predict(
        "run", [str(inputs or tmp_path / "in")], str(tmp_path / "out"), also=also
    )


def test_a_row_says_where_the_tumour_is(given, tmp_path):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png", [(3, 5, 4, 2), (15, 10, 6, 6)])
    (row,) = run(tmp_path)
    assert all(map(is_known, row.keys() - {"each_lesion"}))
    assert row["pixels"] == 8 + 36 and row["lesions"] == 2
    assert row["boxes"] == "15 10 6 6;3 5 4 2"
    assert row["side"] == "picture right"
    assert row["mask"] == "a_mask.png" and "area_mm2" not in row
    (told,) = json.loads((tmp_path / "out" / "predictions.json").read_text())[
        "predictions"
    ]
    assert told["each_lesion"][1]["box"] == dict(left=3, top=5, width=4, height=2)
    (cells,) = read_csv(tmp_path / "out" / "predictions.csv")
    assert cells["boxes"] == row["boxes"] and "each_lesion" not in cells


def test_masks_come_in_the_format_of_their_input(given, tmp_path):
    given(tiny_nets.restored())
    for name in ("a.png", "b.tif", "c.jpg", "d.tiff"):
        write(tmp_path / "in" / name)
    with h5py.File(tmp_path / "in" / "e.mat", "w") as file:
        file["cjdata/image"] = picture([(3, 5, 4, 2)]).T.astype(np.int16)
    rows = run(tmp_path)
    masks = [row["mask"] for row in rows]
    assert masks == [
        "a_mask.png", "b_mask.tif", "c_mask.png", "d_mask.tiff", "e_mask.mat",
    ]  # fmt: skip
    truth = picture([(3, 5, 4, 2)]) > 128
    for name in masks[:2]:
        found = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found, truth)
    with h5py.File(tmp_path / "out" / "e_mask.mat") as file:
        np.testing.assert_array_equal(file["cjdata/tumorMask"][()].T, truth)
    assert (tmp_path / "out" / "e_mask.mat").read_bytes().startswith(b"MATLAB 7.3")
    assert (tmp_path / "out" / "e_overlay.png").exists()


def test_pictures_of_many_sizes_share_one_compiled_net(given, tmp_path, monkeypatch):
    made = given(tiny_nets.restored())
    sizes = [(24, 24), (30, 20), (48, 48), (24, 24), (12, 40)] * 3
    for number, shape in enumerate(sizes):
        write(tmp_path / "in" / f"p{number}x.png", [(2, 3, 8, 8)], shape)
    calls, compiled = [], predictor.inference_steps.probabilities

    def traced(*args, **options):
        calls.append(args[1].shape)
        return compiled(*args, **options)

    monkeypatch.setattr(predictor.inference_steps, "probabilities", traced)
    rows = run(tmp_path)
    assert len(calls) == 1 and len(rows) == 15  # traced once, in batches of 8
    for row, shape in zip(rows, sizes, strict=True):
        mask = cv2.imread(str(tmp_path / "out" / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == shape and mask[6, 5] == 1 and mask[0, -1] == 0
    # As one by one.
    one = predictor.make_predictor(made)
    image = image_files.read_image(tmp_path / "in" / "p1x.png", 1, "uint8")
    scaling = np.array([[0], [255], [0], [255]], np.float32)
    alone = np.asarray(made.parts.task.predict(one(image, scaling)))[0, ..., 0]
    mask = cv2.imread(str(tmp_path / "out" / "p1x_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(alone, mask)


def test_pictures_of_a_run_of_windows_are_seen_as_they_are_stored(given, tmp_path):
    given(tiny_nets.restored(window=(16, 16)))
    # Lone pixels, of which a picture that is made 24 x 24 has none left.
    write(tmp_path / "in" / "a.png", [(5, 7, 1, 1), (31, 44, 1, 1)], (60, 50))
    (row,) = run(tmp_path, also=("probabilities",))
    assert row["pixels"] == 2 and row["boxes"] == "5 7 1 1;31 44 1 1"
    (path,) = (tmp_path / "out").glob("*_probabilities.npz")
    probs = np.load(path)["tumour"]
    assert probs.shape == (60, 50) and (probs > 0.5).sum() == 2


def test_a_second_run_skips_what_is_done_and_sees_what_changed(given, tmp_path, caplog):
    given(tiny_nets.restored())
    paths = [write(tmp_path / "in" / f"{name}.png") for name in "abc"]
    first = run(tmp_path)
    out = tmp_path / "out"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*_mask.png")}
    write(paths[1], [(1, 1, 2, 2)])
    (out / "c_mask.png").unlink()
    with caplog.at_level("INFO"):
        second = run(tmp_path)
    assert "1 of 3 images are predicted already" in caplog.text
    assert (out / "a_mask.png").stat().st_mtime_ns == before["a_mask.png"]
    assert [row["pixels"] for row in second] == [8, 4, 8]
    assert second[0] == first[0] and (out / "c_mask.png").exists()
    assert run(tmp_path) == second


def test_a_row_goes_when_another_picture_takes_its_mask(given, tmp_path, caplog):
    given(tiny_nets.restored())
    first = write(tmp_path / "A" / "s.png", [(3, 5, 4, 2)])
    second = write(tmp_path / "B" / "s.png", [(3, 5, 8, 8)])
    run(tmp_path, inputs=first)
    run(tmp_path, inputs=second)
    assert f"prediction of {first}, of an earlier command, is replaced" in caplog.text
    (left,) = read_csv(tmp_path / "out" / "predictions.csv")
    assert left["file"] == str(second)
    (row,) = run(tmp_path, inputs=first)  # anew, for its mask is another's
    mask = cv2.imread(str(tmp_path / "out" / row["mask"]), cv2.IMREAD_UNCHANGED)
    assert (mask > 0).sum() == row["pixels"] == 8


def test_another_model_predicts_anew(given, tmp_path):
    made = given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    run(tmp_path)
    path = tmp_path / "out" / "predictions.json"
    said = json.loads(path.read_text())
    said["predictions"][0]["pixels"] = -1
    path.write_text(json.dumps(said))
    assert run(tmp_path)[0]["pixels"] == -1  # kept, as the files say
    one = np.ones((1,) * 4, np.float32)
    given(made._replace(variables={"params": {"bias": one, "slope": one}}))
    assert run(tmp_path)[0]["pixels"] == 8


def test_an_interrupted_run_leaves_whole_files(given, tmp_path, monkeypatch):
    given(tiny_nets.restored(batch=8))
    for number in range(12):
        write(tmp_path / "in" / f"{number}a.png")
    whole = predictor.make_batched

    def stopping(restored, most):
        made, calls = whole(restored, most), []

        def predict_twice(*args):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return made.predict(*args)

        return made._replace(predict=predict_twice)

    with monkeypatch.context() as patch:
        patch.setattr(predict.pictures, "make_batched", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert len(read_csv(tmp_path / "out" / "predictions.csv")) == 8
    assert len(run(tmp_path)) == 12


def test_files_that_cannot_be_read_are_told_of_at_the_end(given, tmp_path):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    with h5py.File(tmp_path / "in" / "c.mat", "w") as file:
        file["cjdata/image"] = np.full((24, 24), 300)
    (tmp_path / "in" / "d.mat").write_bytes(b"MATLAB")
    (tmp_path / "in" / image_files.FOLDS_FILE).touch()
    with pytest.raises(ValueError, match="3 of 4 files could not be predicted") as told:
        run(tmp_path)
    assert "c.mat has values from 300 to 300 (int64), which uint8" in str(told.value)
    assert "d.mat cannot be read as a MATLAB 7.3 file" in str(told.value)
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(said["failed"]) == 3 and len(said["predictions"]) == 1


def test_patterns_are_inputs_too(given, tmp_path):
    given(tiny_nets.restored())
    for name in ("a1", "a2", "b1"):
        write(tmp_path / "in" / f"{name}.png")
    assert len(run(tmp_path, inputs=tmp_path / "*" / "a?.png")) == 2
    with pytest.raises(FileNotFoundError, match="Nothing matches"):
        run(tmp_path, inputs=tmp_path / "c*.png")


def test_contours_and_probabilities_on_request(given, tmp_path):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    run(tmp_path, also=["contours", "probabilities"])
    said = json.loads((tmp_path / "out" / "a_contours.json").read_text())
    assert said["contours"][0]["points"][0] == [3, 5]
    with np.load(tmp_path / "out" / "a_probabilities.npz") as arrays:
        assert arrays["tumour"].shape == (24, 24)
        assert arrays["tumour"][5, 3] > 0.99 and arrays["tumour"][0, 0] < 0.01
    with pytest.raises(ValueError, match="--also has 'masks'; it can have pages"):
        run(tmp_path, also=["masks"])


def test_what_pictures_do_not_have_is_told(given, tmp_path, caplog, monkeypatch):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    run(tmp_path, also=["stl"])
    assert "--also=stl is not written of such inputs" in " ".join(caplog.text.split())
    monkeypatch.setattr(predict.meshes, "measure", None)
    with pytest.raises(ValueError, match=r"Meshes need scikit-image.*\[mesh\]"):
        run(tmp_path, also=["stl"])


def test_a_class_has_a_row_alone(given, tmp_path):
    given(tiny_nets.restored(task="classification"))
    write(tmp_path / "in" / "a.png", [(0, 0, 24, 24)])
    (row,) = run(tmp_path)
    assert row["class"] == "tumour" and row["probability_tumour"] > 0.99
    assert row["warnings"] == "of one colour"
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"predictions.csv", "predictions.json"}


def test_volumes_of_many_slices_are_normalised_together(given, tmp_path, monkeypatch):
    given(tiny_nets.restored(normalisation="volume_unit"))
    for number in range(6):
        write(tmp_path / "in" / f"p_{number}.png")
    rows = run(tmp_path)
    assert {row["normalised_by"] for row in rows} == {"6 slices"}
    monkeypatch.setattr(predict.pictures, "KEPT", 2)  # the others are read again
    for path in (tmp_path / "out").glob("*_mask.png"):
        path.unlink()
    assert run(tmp_path) == rows
    (tmp_path / "in" / "p_3.png").write_bytes(b"no picture")
    with pytest.raises(image_files.UnreadableImage):
        run(tmp_path)
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {row["normalised_by"] for row in said["predictions"]} == {"5 slices"}


@pytest.mark.parametrize(
    "name, said", [("volume_unit", "2 slices"), ("unit", "1 slice")]
)
def test_a_row_says_how_many_slices_were_normalised_together(
    given, tmp_path, name, said
):
    given(tiny_nets.restored(normalisation=name))
    for number in range(2):
        write(tmp_path / "in" / f"P1_{number}.png")
    assert {row["normalised_by"] for row in run(tmp_path)} == {said}


def test_two_of_one_name_are_told_apart_by_their_endings(given, tmp_path):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    write(tmp_path / "in" / "a.tif", [(10, 10, 5, 5)])
    write(tmp_path / "in" / "b.png")
    masks = {row["mask"]: row["pixels"] for row in run(tmp_path)}
    assert masks == {"a_png_mask.png": 8, "a_tif_mask.tif": 25, "b_mask.png": 8}
    assert (tmp_path / "out" / "a_tif_overlay.png").exists()


@pytest.mark.parametrize(
    "paths, names",
    [
        (["/s/x/a.png", "/s/y/a.png"], ["s_x_a", "s_y_a"]),
        (["/s/a.png", "/s/a.tif", "/s/t/a.png"], ["a_png", "a_tif", "a"]),
        (["/s/a", "/s/a.dcm"], ["a", "a_dcm"]),
        (  # the ending's name is another's stem
            ["/r/s/a.png", "/r/s/a.tif", "/r/s/a_png.jpg"],
            ["r_s_a_png_png", "a_tif", "r_s_a_png_jpg"],
        ),
        (
            ["/r/s/x/a.png", "/r/s/x/a.tif", "/t/s/y/a.png", "/t/s/y/a.tif"],
            ["s_x_a_png", "s_x_a_tif", "s_y_a_png", "s_y_a_tif"],
        ),
    ],
)
def test_names_of_outputs(paths, names):
    assert [*output_names([pathlib.Path(one) for one in paths]).values()] == names


def test_folders_of_one_name_are_refused(tmp_path):
    paths = [tmp_path / top / "s" / "x" / "a.png" for top in "pq"]
    with pytest.raises(
        ValueError, match=r"p/s/x/a\.png and .*q/s.*s_x_a_png\. .*one at"
    ):
        output_names(paths)


def test_a_damaged_table_is_made_anew(given, tmp_path, caplog):
    given(tiny_nets.restored())
    write(tmp_path / "in" / "a.png")
    run(tmp_path)
    (tmp_path / "out" / "predictions.json").write_text("{")
    assert len(run(tmp_path)) == 1 and "predictions.json is damaged" in caplog.text


def test_tables_are_written_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "EVERY", 0.0)
    (tmp_path / "a").touch()
    written = results.Results(tmp_path / "out", {})
    written.add(tmp_path / "a", {"file": str(tmp_path / "a"), "pixels": 3})
    (row,) = read_csv(tmp_path / "out" / "predictions.csv")
    assert row["pixels"] == "3"
