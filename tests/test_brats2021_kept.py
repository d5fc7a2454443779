"""A preparation of volumes that was stopped goes on from the cases that it had checked."""

import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from datasets import raw
from datasets.brats2021 import examine
from tests import small_cases

CHECKED = pathlib.Path("brats2021/phantom/.checked")
# Prepares as usual, but kills itself once it has kept three cases.
KILLED = """
import os, signal, sys
from datasets import prepare
from datasets.brats2021 import kept

write, calls = kept._write, []

def write_and_die(*arguments):
    write(*arguments)
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

kept._write = write_and_die
prepare.prepare("brats2021/phantom", *sys.argv[1:])
"""


@pytest.fixture
def counted(monkeypatch):
    """Keys of cases that are unpacked to be checked."""
    seen, tally = [], examine._tally
    monkeypatch.setattr(
        examine,
        "_tally",
        lambda case, *rest: seen.append(case.key) or tally(case, *rest),
    )
    return seen


def same(one, other):
    """Whether two prepared sets have equal examples and equal indices."""
    for key, example in small_cases.examples(one).items():
        for name, value in small_cases.examples(other)[key].items():
            np.testing.assert_array_equal(value, example[name])
    paths = [pathlib.Path(built.data_dir) / "index.npz" for built in (one, other)]
    indices = [np.load(path) for path in paths]
    assert indices[0].files == indices[1].files
    return all(np.array_equal(indices[0][k], indices[1][k]) for k in indices[0].files)


@pytest.mark.slow
def test_a_killed_preparation_goes_on_from_what_it_had_checked(tmp_path, counted):
    tree = small_cases.write_tree(tmp_path / "raw", cases=6)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tree)]
    killed = subprocess.run(command, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    had = {path.stem for path in (tmp_path / "data" / CHECKED).glob("*.npz")}
    assert len(had) >= 3
    built = small_cases.build(tree, tmp_path / "data")
    assert {*counted} == {small_cases.name_of(k) for k in range(1, 7)} - had
    assert len(counted) == 6 - len(had)
    assert not (tmp_path / "data" / CHECKED).exists()
    assert same(built, small_cases.build(tree, tmp_path / "again"))


def test_only_what_is_whole_and_of_the_same_files_counts(tmp_path, counted):
    tree = small_cases.write_tree(tmp_path / "raw", cases=4)
    one, two, three, four = map(small_cases.name_of, (1, 2, 3, 4))
    bad = tree / one / f"{one}_t1.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-9])
    with pytest.raises(raw.BadFile, match=bad.name):
        small_cases.build(tree, tmp_path / "data")
    folder = tmp_path / "data" / CHECKED
    assert {path.stem for path in folder.iterdir()} == {two, three, four}
    bad.write_bytes(whole)
    damaged = folder / f"{two}.npz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    small_cases.write_case(tree, 3, axes="RAS")  # the same voxels in other bytes
    counted.clear()
    built = small_cases.build(tree, tmp_path / "data")
    assert {*counted} == {one, two, three}
    assert same(built, small_cases.build(tree, tmp_path / "again"))
