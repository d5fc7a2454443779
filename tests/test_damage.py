"""A damaged file of a data set or of a run is named, with what to do about it."""

import functools
import pathlib
import re
import shutil
import subprocess
import sys
import types

import jax
import optax
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data import stored
from brainseg_jax.runs import checkpoints, experiment
from brainseg_jax.training import state

NAME = "lgg_mri/phantom"
DAMAGES = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "overwritten": lambda content: content[:200] + b"\xff" * 400 + content[600:],
}
damages = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


@pytest.fixture
def folder(data_dir, tmp_path):
    """A copy of a prepared data set, to be damaged."""
    (whole,) = (data_dir / NAME).glob("*/dataset_info.json")
    return shutil.copytree(whole.parent, tmp_path / NAME / whole.parent.name)


def named(path):
    """What is said of a damaged file of a data set, as an expression."""
    return (
        rf"^{re.escape(str(path))} is damaged: .*Delete the folder .*prepare the data"
    )


@damages
@pytest.mark.parametrize(
    "name", ["dataset_info.json", "features.json", "metadata.json"]
)
def test_a_damaged_description_is_named(folder, tmp_path, name, damage):
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=named(path)):
        data_info.read_info(NAME, tmp_path)


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("dataset_info.json", '"version"', ""),  # what TFDS reads is named as a whole
        ("metadata.json", '"folds"', "metadata.json"),
    ],
)
def test_a_description_in_other_words_is_named(folder, tmp_path, name, known, said):
    path = folder / name
    path.write_text(path.read_text().replace(known, '"wersion"', 1))
    with pytest.raises(ValueError, match=named(folder / said)):
        data_info.read_info(NAME, tmp_path)


@damages
def test_a_damaged_index_is_named(folder, damage):
    path = folder / data_index.FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=named(path)):
        data_index.read_index(folder)


@damages
def test_a_damaged_file_of_records_is_named(folder, tmp_path, damage):
    (path,) = folder.glob("*fold_0.array_record*")
    path.write_bytes(damage(path.read_bytes()))
    read = stored.open_records(data_info.open_builder(NAME, tmp_path))
    with pytest.raises(ValueError, match=named(path)):
        read("fold_0", 0)
    assert read("fold_1", 0)[0].shape[-1] == 3


def test_of_several_files_the_one_that_holds_the_record_is_named(tmp_path, monkeypatch):
    split = types.SimpleNamespace(
        shard_lengths=[2, 0, 3], filepaths=[tmp_path / name for name in "abc"]
    )

    def fails(*arguments, **options):
        raise RuntimeError("cut short")

    builder = types.SimpleNamespace(
        info=types.SimpleNamespace(features={}, splits={"fold_0": split}),
        as_data_source=fails,
    )
    read = stored.open_records(builder)
    for record, file in ((0, "a"), (1, "a"), (2, "c"), (4, "c")):
        with pytest.raises(ValueError, match=named(tmp_path / file)):
            read("fold_0", record)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of which the best checkpoint is the first and the last the second."""
    workdir = tmp_path_factory.mktemp("run")
    with checkpoints.Checkpoints(workdir) as saved:
        for score in (0.5, None):
            saved.save(some_state(), {"progress": {}}, score)
            saved.wait()
    return workdir


@functools.cache
def some_state():
    """So large, and so random, that its arrays get files of their own."""
    made, key = state_of(16), jax.random.key(1)
    moments = jax.tree.map(
        lambda leaf: jax.random.normal(key, leaf.shape).astype(leaf.dtype),
        made.opt_state,
    )
    return made.replace(opt_state=moments)


def state_of(width):
    options = {"widths": (width,)}
    model = experiment.make_model("unet", options, outputs=1, dtype="float32")
    return state.create_state(model, optax.adam(0.1), jax.random.key(0), (1, 4, 4, 3))


def read_all(workdir, like=None):
    """The record of the best checkpoint, once its state is read into one `like` it."""
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        assert saved.best == 1
        record = saved.record(1)
        saved.restore_state(1, checkpoints.abstract(like or some_state()))
        return record


@pytest.fixture
def checkpoint(run, tmp_path):
    """The best checkpoint in a copy of that run."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run" / checkpoints.FOLDER / "1"


def test_a_whole_checkpoint_is_read(checkpoint):
    assert read_all(checkpoint.parents[1])["step"] == 0


@pytest.mark.parametrize("content", ["", '{"scor', "{}", "[]", '{"score": null}'])
@pytest.mark.parametrize("name", ["record/metadata", "metrics/metrics"])
def test_a_damaged_record_or_score_is_named(checkpoint, name, content):
    (checkpoint / name).write_text(content)
    with pytest.raises(ValueError, match="checkpoints/1 is damaged: .*Delete that fo"):
        read_all(checkpoint.parents[1])


def emptied(run, folder):
    """Copies of a run, in each of which some files of its best checkpoint are empty."""
    for part in ("variables", "training"):
        for name in ("_METADATA", "manifest.ocdbt", "ocdbt.process_0/d/*", "**/*"):
            copy = folder / str(len([*folder.iterdir()]))
            shutil.copytree(run, copy)
            best = copy / checkpoints.FOLDER / "1" / part
            found = [path for path in best.glob(name) if path.is_file()]
            assert found
            for path in found:
                path.write_bytes(b"")
            yield copy


# In a process of its own: of arrays that fail, TensorStore goes on talking to a loop that
# orbax has closed, which pytest would blame on another test.
READ_ALL = """
import sys
from tests.test_damage import read_all, some_state, state_of

run, *copies = sys.argv[1:]
for workdir, state in [(run, state_of(8)), *((copy, some_state()) for copy in copies)]:
    try:
        read_all(workdir, state)
    except ValueError as error:
        print(" ".join(str(error).split()))
"""


@pytest.mark.slow
def test_emptied_weights_are_named_and_those_of_another_shape_are_not(run, tmp_path):
    copies = [*emptied(run, tmp_path)]
    command = [sys.executable, "-c", READ_ALL, str(run), *map(str, copies)]
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    other_shape, *said = done.stdout.splitlines()
    assert "shape" in other_shape and "damaged" not in other_shape
    assert len(said) == len(copies) == 8, done.stderr[-2000:]
    for copy, line in zip(copies, said, strict=True):
        begin = re.escape(str(copy / checkpoints.FOLDER / "1"))
        assert re.match(
            f"The checkpoint {begin} is damaged: .*Delete that folder", line
        )


def test_after_the_only_checkpoint_a_run_starts_anew(checkpoint):
    shutil.rmtree(checkpoint.with_name("2"))
    (checkpoint / "record" / "metadata").write_text("{")
    said = "1 is damaged: .* no other: the run has to start anew in another --workdir"
    with pytest.raises(ValueError, match=said):
        read_all(checkpoint.parents[1])
