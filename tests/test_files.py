"""JSON and CSV files are strict, and written whole or not at all."""

import json

import numpy as np
import pytest

from brainseg_jax import files


def test_json_has_no_nan_no_tuples_and_no_numpy(tmp_path):
    value = {"a": np.float32("nan"), "b": (1, np.int64(2)), "c": [float("inf"), "x"]}
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": None, "b": [1, 2], "c": [None, "x"]}
    assert "NaN" not in text


def test_a_table_has_the_columns_of_all_rows(tmp_path):
    files.write_csv(tmp_path / "a.csv", [{"x": 1}, {"x": 2, "y": 3}])
    assert (tmp_path / "a.csv").read_text().split() == ["x,y", "1,", "2,3"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    files.write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"new": object()})
    with pytest.raises(TypeError):
        files.write_atomically(tmp_path / "a.json", "not bytes")
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
