"""Preparing: once, whole or not at all, one process at a time, and with progress shown."""

import collections
import functools
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow_datasets as tfds

from datasets import prepare, raw
from datasets.synthetic import phantom

# Builds as usual, but says so and dawdles at the tenth slice.
SLOW_BUILD = """
import pathlib, sys, time
from datasets import pixels, prepare

data_dir, raw_dir, pause = sys.argv[1:]
encode, calls = pixels.encode, []

def slow_encode(array):
    calls.append(1)
    if len(calls) == 10:
        pathlib.Path(data_dir, "started").touch()
        time.sleep(float(pause))
    return encode(array)

pixels.encode = slow_encode
prepare.prepare("lgg_mri/phantom", data_dir, raw_dir)
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return phantom.write_lgg(tmp_path_factory.mktemp("raw"), patients=6, slices=4)


def start_slow_build(data_dir, raw_dir, pause):
    command = [sys.executable, "-c", SLOW_BUILD, str(data_dir), str(raw_dir), pause]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if (data_dir / "started").exists():
            return process
        assert process.poll() is None, "the build ended before its tenth slice"
        time.sleep(0.05)
    process.kill()
    raise TimeoutError("The build did not reach its tenth slice in 30 s.")


def test_what_is_prepared_is_where_plain_tfds_finds_it(original, tmp_path, capsys):
    folder = prepare.prepare("lgg_mri/phantom", tmp_path, original)
    assert folder == tmp_path / "lgg_mri" / "phantom" / "1.2.0"
    info = tfds.builder_from_directory(folder).info
    assert sum(split.num_examples for split in info.splits.values()) == 24
    printed = capsys.readouterr().out
    assert "6 patients, 24 slices" in printed and "PHANTOM" in printed


def test_a_second_call_says_so_and_touches_nothing(original, tmp_path, capsys):
    folder = prepare.prepare("lgg_mri/phantom", tmp_path, original)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    # No raw data needed any more.
    assert prepare.prepare("lgg_mri/phantom", tmp_path, "/nowhere") == folder
    assert before == {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert f"delete {folder}" in capsys.readouterr().out


def test_a_killed_build_leaves_nothing_behind(original, tmp_path):
    process = start_slow_build(tmp_path, original, "60")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    variant = tmp_path / "lgg_mri" / "phantom"
    assert list(variant.glob("incomplete.*")) and not (variant / "1.2.0").exists()
    folder = prepare.prepare("lgg_mri/phantom", tmp_path, original)
    assert not list(variant.glob("incomplete.*"))
    info = tfds.builder_from_directory(folder).info
    assert sum(split.num_examples for split in info.splits.values()) == 24


def test_two_processes_do_not_build_at_once(original, tmp_path, capsys):
    process = start_slow_build(tmp_path, original, "2")
    prepare.prepare("lgg_mri/phantom", tmp_path, original)
    assert process.wait(timeout=30) == 0
    process.communicate()
    printed = capsys.readouterr().out
    assert "Another process is preparing" in printed and "Already prepared" in printed


@pytest.mark.parametrize(
    "kind", ["dataset_info.json", "metadata.json", "index.npz", "array_record"]
)
def test_a_data_set_with_a_file_gone_is_not_taken_for_one(original, tmp_path, kind):
    folder = prepare.prepare("lgg_mri/phantom", tmp_path, original)
    gone = min(file for file in folder.iterdir() if kind in file.name)
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {gone.name}.*Delete"):
        prepare.prepare("lgg_mri/phantom", tmp_path, original)


@pytest.mark.parametrize("content", [b"", b'{"fol', b"{}", b'{"new": 1}', b"\xff"])
@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_a_damaged_description_is_named(data_dir, tmp_path, name, content):
    shutil.copytree(data_dir / "lgg_mri", tmp_path / "lgg_mri")
    (path,) = tmp_path.glob(f"lgg_mri/phantom/*/{name}")
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"{path} is damaged: .*Delete.* {path.parent} "
    ):
        prepare.prepare("lgg_mri/phantom", tmp_path)


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_folder_is_named_with_its_key(original, tmp_path, below):
    (tmp_path / "data").write_text("a file")
    data_dir = tmp_path / "data" / below
    with pytest.raises(OSError, match=f"config.data.data_dir={data_dir} cannot hold"):
        prepare.prepare("lgg_mri/phantom", data_dir, original)
    assert (tmp_path / "data").read_text() == "a file"


def test_a_phantom_needs_no_raw_data(tmp_path, monkeypatch):
    write = functools.partial(phantom.write_lgg, patients=5, slices=3)
    monkeypatch.setattr(phantom, "write_lgg", write)
    left = tmp_path / "raw" / "incomplete.lgg_mri_phantom" / "kaggle_3m" / "TCGA_X"
    left.mkdir(parents=True)
    folder = prepare.prepare("lgg_mri/phantom", tmp_path)
    assert tfds.builder_from_directory(folder).info.metadata["slices"] == 15
    files = (tmp_path / "raw").iterdir()
    assert [file.name for file in files] == ["lgg_mri_phantom"]


@pytest.mark.parametrize("raw_dir", ["", "empty", "absent"])
def test_missing_raw_data_says_where_to_get_it_and_how_to_pass_it(tmp_path, raw_dir):
    (tmp_path / "empty").mkdir()
    with pytest.raises(raw.MissingRawData) as caught:
        prepare.prepare("lgg_mri/kaggle", tmp_path, raw_dir and tmp_path / raw_dir)
    for hint in (
        "mateuszbuda/lgg-mri-segmentation",
        "--config.data.raw_dir=",
        "--config=configs/resunet_lgg.py:phantom",
    ):
        assert hint in str(caught.value)


def test_too_little_space_is_refused_before_writing(original, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(prepare.shutil, "disk_usage", lambda path: usage)
    # 24 slices of 256 x 256 x 4 bytes, and 64 MiB to spare: 73,400,320.
    with pytest.raises(prepare.NoSpace, match="1,000 bytes free.*73,400,320"):
        prepare.prepare("lgg_mri/phantom", tmp_path, original)
    assert not list(tmp_path.rglob("incomplete.*"))


@pytest.mark.parametrize(
    ("name", "known"),
    [("lgg", "lgg_mri"), ("lgg_mri", "lgg_mri/kaggle"), ("lgg_mri/x", "lgg_mri/phan")],
)
def test_an_unknown_name_lists_what_there_is(tmp_path, name, known):
    with pytest.raises(ValueError, match=f"No data set '{name}'; there are: .*{known}"):
        prepare.prepare(name, tmp_path)


def test_datasets_import_no_other_framework_and_not_brainseg_jax():
    code = (
        "import sys, datasets.prepare, datasets.lgg_mri.lgg_mri_dataset_builder\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    command = [sys.executable, "-c", code]
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert not {"jax", "tensorflow", "torch", "brainseg_jax"} & set(done.stdout.split())
