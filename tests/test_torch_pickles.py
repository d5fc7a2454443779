"""Pickles of PyTorch are followed, not run; what only looks like a tensor is refused."""

import contextlib
import copy
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from brainseg_jax.weights import formats, torch_files, torch_pickles
from tests import weight_writers

DAMAGED = "truncated or damaged; download it again"


class Malice:
    def __reduce__(self):
        return os.system, ("touch malice",)


def streamed(value):
    """A file of PyTorch before 1.6 with any pickle in the place of the tensors."""
    parts = (torch_files.MAGIC, 1001, {"little_endian": True}, value, [])
    return b"".join(pickle.dumps(part, 2) for part in parts)


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_malicious_pickle_is_named_and_never_run(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(streamed({"weight": Malice()}))
    with pytest.raises(ValueError, match=r"a\.pth? .* asks for posix\.system"):
        formats.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"weight": Malice()}, 2))
    with pytest.raises(ValueError, match=r"posix\.system.*safetensors"):
        formats.read(path)
    assert not (tmp_path / "malice").exists()


@pytest.mark.parametrize(
    "module, name",
    [("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("torch", "Tensor")],
)
def test_only_what_tensors_are_made_of_may_be_named(tmp_path, module, name):
    code = f"c{module}\n{name}\n.".encode()
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", code)
    with pytest.raises(ValueError, match=f"asks for {module}.{name}"):
        formats.read(tmp_path / "a.pth")


STORAGE = weight_writers.torch_storage(0, 4)
FOUR = np.arange(4, dtype=np.float32).tobytes()
DICTIONARY = b"ccollections\nOrderedDict\n)R"


def write_tensor(folder, storage=STORAGE, shape=(3,), strides=(1,), offset=0):
    """A file with one tensor, by default the first three of 0 1 2 3."""
    tensor = weight_writers.torch_tensor(storage, shape, strides, offset)
    code = b"}" + weight_writers.plain("weight") + tensor + b"s"
    return weight_writers.write_torch_records(folder / "a.pth", code, [FOUR])


@pytest.mark.parametrize(
    "shape, strides, offset",
    [
        ((5,), (1,), 0),  # five of four numbers
        ((1,), (1,), 4),  # the fifth
        ((2, 2), (1, 3), 0),  # the places 0 1 3 4
        ((2, 4), (0, 1), 0),  # eight numbers of four
        ((2,), (-1,), 3),
        ((1,), (1,), -1),
        ((2,), (1 << 62,), 0),
        ((1,), (1 << 63,), 0),
        ((1,), (1,), 1 << 62),
        ((1,), (1,), 1 << 64),
        ((1 << 62, 4), (0, 0), 0),
        ((0, 1 << 80), (1, 1), 0),
        ((1,) * 65, (1,) * 65, 0),
        ((2.0,), (1,), 0),
        ((True,), (1,), 0),
        ((1,), (True,), 0),
        ((1,), (1,), False),
        ((1,), (1,), 0.0),
        ((2, 2), (1,), 0),
        (1, 1, 0),
        ("1", "1", 0),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, shape, strides, offset):
    path = write_tensor(tmp_path, STORAGE, shape, strides, offset)
    with pytest.raises(ValueError, match=DAMAGED):
        formats.read(path)


@pytest.mark.parametrize("size", [5, 3, -1, True, 4.0, 1 << 62, 1 << 64, "4", None])
def test_a_storage_of_another_size_than_its_record_is_refused(tmp_path, size):
    path = write_tensor(tmp_path, weight_writers.torch_storage(0, size))
    with pytest.raises(ValueError, match=DAMAGED):
        formats.read(path)


def forged(itemsize):
    """A dictionary with the attributes of a storage, and of numbers so many bytes apart."""
    dtype = weight_writers.plain(
        (None, {"itemsize": itemsize, "names": ["a"], "formats": ["<f4"]})
    )
    attributes = weight_writers.plain({"key": "0", "size": 4})
    key = weight_writers.plain("dtype")
    return DICTIONARY + attributes + key + DICTIONARY + dtype + b"bsb"


@pytest.mark.parametrize(
    "storage",
    [
        forged(4),
        forged(64),
        forged(1 << 40),
        DICTIONARY,
        weight_writers.torch_tensor(STORAGE, (4,)),
        b"(" + weight_writers.plain("0") + b"ctorch\nFloatStorage\nK\x04t",
        weight_writers.plain([4]),
        weight_writers.plain("0"),
    ],
)
def test_what_only_looks_like_a_storage_is_refused(tmp_path, storage):
    path = write_tensor(tmp_path, storage)
    with pytest.raises(ValueError, match=f"{DAMAGED}.*where a Storage belongs"):
        formats.read(path)


def test_a_parameter_is_made_of_a_tensor_alone(tmp_path):
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + STORAGE + b"\x88}tR"
    code = b"}" + weight_writers.plain("weight") + parameter + b"s"
    path = weight_writers.write_torch_records(tmp_path / "a.pth", code, [FOUR])
    with pytest.raises(ValueError, match="where a Tensor belongs"):
        formats.read(path)


@pytest.mark.parametrize(
    "attributes",
    [{"size": 1 << 40}, (None, {"size": 1 << 40, "dtype": "f8"}), ("0", None, 1 << 40)],
)
def test_attributes_set_by_a_pickle_change_nothing(tmp_path, attributes):
    code = STORAGE + weight_writers.plain(attributes) + b"b"
    found = formats.read(write_tensor(tmp_path, code))
    np.testing.assert_array_equal(found["weight"], [0, 1, 2])
    assert not found["weight"].flags.writeable


@pytest.mark.parametrize(
    "code",
    [
        b"(" + weight_writers.plain("touch malice") + b"ios\nsystem\n",
        b"(cbuiltins\neval\no",
        b"ccollections\nOrderedDict\n)\x81",
        b"\x82\x01",  # an extension
        b"Pname\n",
        b"}2",
        b"}0",
        b"\x8f",
        b"R",
        b"tb",
        b"]]R",
        b"ctorch\nFloatStorage\n)R",
        b"ctorch\nSize\n(" + 9 * b"K\x01" + b"tR",
    ],
)
def test_other_instructions_than_a_state_dict_needs_are_refused(tmp_path, code):
    path = weight_writers.write_torch_records(tmp_path / "a.pth", code, [])
    with pytest.raises(
        ValueError, match=r"a\.pth(: .*in its pickle| is truncated| holds more)"
    ):
        formats.read(path)


def peak(path):
    """The most memory that reading a file takes at a time, in bytes, refused or not."""
    tracemalloc.start()
    with contextlib.suppress(ValueError):
        formats.read(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


PAIRS = weight_writers.plain([[str(number), 0] for number in range(1000)])


@pytest.mark.parametrize(
    "code",
    [
        b"}r" + struct.pack("<I", 1 << 26),  # the place of a value in the memo
        PAIRS + b"\x85q\x00(" + 1000 * b"ccollections\nOrderedDict\nh\x00R" + b"t",
        PAIRS + b"\x85q\x00(" + 1000 * b"ctorch\nSize\nh\x00R" + b"t",
    ],
    ids=["memo", "dictionaries", "sizes"],
)
def test_a_short_pickle_fills_no_memory(tmp_path, code):
    path = weight_writers.write_torch_records(tmp_path / "a.pth", code, [])
    assert peak(path) < 4 << 20


def test_many_views_of_a_storage_are_in_memory_once(tmp_path):
    storage = weight_writers.torch_storage(0, 1 << 18)
    code = b"}("
    for number in range(300):
        name = weight_writers.plain(str(number))
        code += name + weight_writers.torch_tensor(storage, (1 << 18,))
    numbers = np.arange(1 << 18, dtype=np.float32).tobytes()
    path = weight_writers.write_torch_records(
        tmp_path / "a.pth", code + b"u", [numbers]
    )
    found = formats.read(path)
    assert len(found) == 300 and (found["299"] == found["0"]).all()
    assert peak(path) < 4 * len(numbers)


def test_a_key_that_would_take_forever_to_hash_is_left_out(tmp_path):
    """A tuple of the same tuple twice, a hundred times: 2 ** 100 empty ones."""
    doubled = b"".join(b"q%ch%c\x86" % (place, place) for place in range(100))
    code = b"})" + doubled + b"K\x01s"
    path = weight_writers.write_torch_records(tmp_path / "a.pth", code, [])
    with pytest.raises(ValueError, match="no tensors by name"):
        formats.read(path)


def test_a_pickle_longer_than_any_state_dict_is_refused(tmp_path):
    code = weight_writers.plain("a" * torch_pickles.LONGEST)
    path = weight_writers.write_torch_records(tmp_path / "a.pth", code, [])
    with pytest.raises(ValueError, match="its pickle is longer than"):
        formats.read(path)


def test_records_in_the_same_place_are_refused(tmp_path):
    path = weight_writers.write_torch(tmp_path / "a.pth", {"a": np.ones(1000)})
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(1, 9):
            again = copy.copy(archive.getinfo("a/data/0"))
            again.filename = f"a/data/{number}"
            archive.filelist.append(again)
        archive.comment = b"written anew"
    with pytest.raises(ValueError, match="larger than the file"):
        formats.read(path)
