"""Weights are read from every format; damaged files and other content are refused."""

import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from brainseg_jax.weights import formats
from tests import weight_writers

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
DAMAGED = "truncated or damaged; download it again"
# What make_torch_files.py had PyTorch write; 0 1 2 3 / 4 5 6 7 / 8 9 10 11 turned is
# 0 4 8 / 1 5 9 / 2 6 10 / 3 7 11.
TORCH = {
    "whole": np.arange(12, dtype=np.float32).reshape(3, 4),
    "turned": np.array([[1, 5, 9], [2, 6, 10]], np.float32),
    "half": np.array([0.5, -2], np.float16),
    "bfloat16": np.array([1.5, -3], np.float32),
    "double": np.array([[0.1]]),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": np.array([4], np.float32),
    "num_batches_tracked": np.array(7),
}


KERAS = {
    "input": {},
    "conv": {"conv/kernel:0": np.ones((1, 2)), "conv/bias:0": np.zeros(2)},
    "old": {"old_W_1:0": np.full((3,), 2.0)},
}


@pytest.fixture(params=["h5", "nested.h5", "zip.pth", "stream.pth", "safetensors"])
def whole(request, tmp_path):
    """A sound file of each format."""
    path = tmp_path / f"a.{request.param}"
    if path.suffix == ".h5":
        return weight_writers.write_keras(path, KERAS, nested="nested" in request.param)
    if path.suffix == ".safetensors":
        return weight_writers.write_safetensors(path, {"a": np.ones(4, np.float32)})
    source = FIXTURES / f"torch_{request.param}"
    path.write_bytes(source.read_bytes())
    return path


@pytest.mark.parametrize("name", ["torch_zip.pth", "torch_stream.pth"])
def test_tensors_of_pytorch_have_their_values_strides_and_precision(name):
    found = formats.read(FIXTURES / name)
    assert found.keys() == TORCH.keys()
    for key, values in TORCH.items():
        np.testing.assert_array_equal(found[key].astype(values.dtype), values)
        assert found[key].shape == values.shape
    assert found["half"].dtype == np.float16
    assert found["bfloat16"].dtype.name == "bfloat16"


def test_a_checkpoint_of_data_parallel_gives_the_state_dict_without_prefix():
    found = formats.read(FIXTURES / "torch_checkpoint.pth")
    np.testing.assert_array_equal(found["weight"], [1, 1])
    np.testing.assert_array_equal(found["running_mean"], [0, 0])
    assert len(found) == 5  # and bias, running_var, num_batches_tracked


def test_safetensors_have_their_values_and_precision(tmp_path):
    names = ("turned", "half", "num_batches_tracked")
    tensors = {name: TORCH[name] for name in names}
    tensors["bfloat16"] = formats.read(FIXTURES / "torch_zip.pth")["bfloat16"]
    path = weight_writers.write_safetensors(
        tmp_path / "a.safetensors", tensors, {"format": "pt"}
    )
    found = formats.read(path)
    assert found.keys() == tensors.keys()
    for name, values in tensors.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("nested", [False, True])
def test_weights_of_keras_are_called_layer_and_weight(tmp_path, nested):
    found = formats.read(weight_writers.write_keras(tmp_path / "a.h5", KERAS, nested))
    assert sorted(found) == ["conv/conv/bias", "conv/conv/kernel", "old/old_W_1"]
    np.testing.assert_array_equal(found["old/old_W_1"], [2, 2, 2])


def test_long_lists_of_layers_are_in_numbered_attributes(tmp_path):
    path = weight_writers.write_keras(tmp_path / "a.h5", KERAS)
    with h5py.File(path, "a") as file:
        first, *rest = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [first], rest
    assert len(formats.read(path)) == 3


def test_every_truncation_is_refused(whole, tmp_path):
    content = whole.read_bytes()
    cut = tmp_path / f"cut{whole.suffix}"
    for length in [0, 1, 7, 8, 9, *np.linspace(10, len(content) - 1, 40).astype(int)]:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"cut.*{DAMAGED}"):
            formats.read(cut)


def test_flipped_bytes_are_refused_or_harmless(whole, tmp_path):
    random = np.random.default_rng(0)
    content = np.frombuffer(whole.read_bytes(), np.uint8)
    flipped = tmp_path / f"flipped{whole.suffix}"
    for _ in range(200):
        changed = content.copy()
        places = random.integers(0, len(content), 3)
        changed[places] = random.integers(0, 256, 3)
        flipped.write_bytes(changed.tobytes())
        try:
            formats.read(flipped)
        except ValueError as error:  # any other is a bare traceback
            assert str(flipped) in str(error)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},  # beyond the end
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]},  # not its own size
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [1] * 64 + [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [1 << 62, 0, 1 << 62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [10**99], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**99]},
        {"dtype": "F32", "shape": [4], "data_offsets": [False, 16]},
        {"shape": [4]},
        7,
    ],
)
def test_safetensors_with_impossible_places_are_refused(tmp_path, entry):
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(ValueError, match=DAMAGED):
        formats.read(path)


def test_safetensors_of_an_unknown_type_say_which_are_read(tmp_path):
    entry = {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ValueError, match=r"a\.safetensors: a is of type F8_E4M3.*F32"):
        formats.read(path)


@pytest.mark.parametrize("suffix", [".h5", ".pth", ".safetensors"])
def test_a_file_under_the_suffix_of_another_kind_is_told_its_own(
    whole, tmp_path, suffix
):
    path = tmp_path / f"renamed{suffix}"
    path.write_bytes(whole.read_bytes())
    if whole.suffix == suffix:
        return
    kind = "" if "stream" in whole.name else f"rename it to {whole.suffix}"
    with pytest.raises(ValueError, match=kind or DAMAGED):
        formats.read(path)


def test_a_header_longer_than_its_file_is_refused(tmp_path):
    path = weight_writers.write_safetensors(
        tmp_path / "a.safetensors", {"a": np.ones(1, np.float32)}
    )
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])
    with pytest.raises(ValueError, match=f"{DAMAGED}.*header"):
        formats.read(path)


def test_a_header_longer_than_any_is_refused(tmp_path):
    text = b"{}".ljust(formats.LONGEST_HEADER + 1)
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match=f"{DAMAGED}.*header"):
        formats.read(path)


def test_keras_files_may_not_lead_to_other_files(tmp_path):
    secret = weight_writers.write_keras(tmp_path / "secret.h5", KERAS)
    path = weight_writers.write_keras(
        tmp_path / "a.h5", {"conv": {"conv/kernel:0": np.ones(2)}}
    )
    with h5py.File(path, "a") as file:
        del file["conv/conv/kernel:0"]
        file["conv/conv/kernel:0"] = h5py.ExternalLink(secret, "conv/conv/kernel:0")
    with pytest.raises(ValueError, match="no tensors"):
        formats.read(path)
    with h5py.File(path, "a") as file:
        del file["conv/conv/kernel:0"]
        file["conv/conv"].create_dataset(
            "kernel:0", (8,), np.uint8, external=[(secret, 0, 8)]
        )
    with pytest.raises(ValueError, match="another file"):
        formats.read(path)


def test_keras_weights_that_would_fill_the_memory_are_refused(tmp_path):
    path = weight_writers.write_keras(
        tmp_path / "a.h5", {"conv": {"conv/kernel:0": np.ones(2)}}
    )
    with h5py.File(path, "a") as file:
        del file["conv/conv/kernel:0"]
        file["conv/conv"].create_dataset(
            "kernel:0", (1 << 40,), "f4", chunks=(1 << 20,)
        )
    with pytest.raises(ValueError, match="larger than the file"):
        formats.read(path)


def test_keras_weights_larger_than_their_file_together_are_refused(tmp_path):
    path = weight_writers.write_keras(tmp_path / "a.h5", {"conv": {}})
    with h5py.File(path, "a") as file:
        for number in range(20):  # 40,000 bytes, none of them written
            file["conv"].create_dataset(f"kernel_{number}:0", (500,), "f4")
    assert path.stat().st_size < 20_000
    with pytest.raises(ValueError, match="larger than the file"):
        formats.read(path)


def test_compressed_weights_of_keras_are_refused(tmp_path):
    path = weight_writers.write_keras(tmp_path / "a.h5", KERAS)
    with h5py.File(path, "a") as file:
        file["conv"].create_dataset("more:0", data=np.ones(100), compression="gzip")
    with pytest.raises(
        ValueError, match="more:0 is stored in pieces, or compressed.*h5repack"
    ):
        formats.read(path)


@pytest.mark.filterwarnings("ignore:__array__")  # Keras's arrays and NumPy
def test_files_without_named_tensors_say_how_to_save_them(tmp_path, keras):
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    net.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"no tensors by name.*model\.save"):
        formats.read(tmp_path / "a.weights.h5")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps([1, 2], 2))
    with pytest.raises(ValueError, match=r"no tensors by name.*state_dict"):
        formats.read(tmp_path / "a.pth")


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no file of weights .*a\.h5"):
        formats.read(tmp_path / "a.h5")
    (tmp_path / "a.npz").touch()
    with pytest.raises(
        ValueError, match=r"a\.npz .* \.h5, .*\.safetensors.*model\.save"
    ):
        formats.read(tmp_path / "a.npz")


def test_archives_of_other_things_say_what_to_save(tmp_path):
    for name in ("a.h5", "a.pth"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("config.json", "{}")
        with pytest.raises(
            ValueError, match=r"is an archive, as \.keras is.*state_dict"
        ):
            formats.read(tmp_path / name)


def test_the_oldest_form_of_pytorch_says_what_it_is(tmp_path):
    (tmp_path / "pickle").write_bytes(pickle.dumps({}, 2))
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        archive.add(tmp_path / "pickle", "pickle")
    with pytest.raises(ValueError, match=r"PyTorch 0\.1, an archive by tar"):
        formats.read(tmp_path / "a.pth")


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    weight_writers.write_keras(tmp_path / "a.h5", KERAS)
    assert formats.read("~/a.h5")


def test_compressed_and_big_endian_files_are_refused(tmp_path):
    """PyTorch writes neither here; a few compressed bytes can fill the memory."""
    path = tmp_path / "a.pth"
    records = {"a/data.pkl": pickle.dumps({}, 2), "a/byteorder": b"big"}
    for kind, reason in ((zipfile.ZIP_DEFLATED, "compressed"), (0, "big-endian")):
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in records.items():
                archive.writestr(name, content)
        with pytest.raises(ValueError, match=reason):
            formats.read(path)
