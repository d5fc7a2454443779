"""Raw files of the BraTS builder, as published, in a copy that a test may damage."""

import pathlib
import shutil

import pytest

from tests import small_cases

CASE = small_cases.name_of(2)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    tree = tmp_path_factory.mktemp("raw") / "tree"
    return small_cases.write_tree(tree, cases=3)


@pytest.fixture
def tree(original, tmp_path):
    """A copy to damage."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "tree"))


def path_of(tree, part="t1", case=CASE):
    return tree / case / f"{case}_{part}.nii.gz"
