"""Reads tensors from PyTorch's files without PyTorch: tensors, and nothing else."""

import io
import math
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brainseg_jax.weights.torch_pickles import ALONE, Tensor, Unreadable, of, unpickle

PICKLE = "/data.pkl"  # in a zip
MAGIC = 0x1950A86A20F9469CFC6C  # of files written before PyTorch 1.6
WRAPPERS = ("state_dict", "model_state_dict", "model")


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, or of the one in a checkpoint, by name.

    They are read-only views of the storages, so that shared storages are in memory once.

    Raises:
        Unreadable: if the file is of a form that is not read; says what to do.
        ValueError: if it is damaged; formats.DAMAGE has what else it may raise then.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive, path.stat().st_size)
    if tarfile.is_tarfile(path):
        raise Unreadable(
            "it is in the form of PyTorch 0.1, an archive by tar; load it with PyTorch "
            "and save it again, or take a newer file of the same net."
        )
    return _read_stream(io.BytesIO(path.read_bytes()))


def _read_zip(archive: zipfile.ZipFile, limit: int) -> dict[str, np.ndarray]:
    """PyTorch 1.6 and newer: a pickle, and a record per storage, none compressed.

    Records may not overlap, either: together they are no larger than the file, `limit`.
    """
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise Unreadable(
                f"{info.filename} is compressed or encrypted, which PyTorch's state dicts "
                f"never are. {ALONE}"
            )
    if sum(info.file_size for info in archive.infolist()) > limit:
        raise ValueError("its records are larger than the file")
    names = archive.namelist()
    folder = next(n for n in names if n.endswith(PICKLE)).removesuffix("data.pkl")
    if (
        f"{folder}byteorder" in names
        and archive.read(f"{folder}byteorder") != b"little"
    ):
        raise ValueError("its numbers are big-endian")
    state, storages = unpickle(io.BytesIO(archive.read(f"{folder}data.pkl")))
    return _arrays(state, {k: archive.read(f"{folder}data/{k}") for k in storages})


def _read_stream(file: BinaryIO) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: five pickles in a row, then every storage."""
    if unpickle(file)[0] != MAGIC:
        raise ValueError("no file of PyTorch")
    _version, (system, _) = unpickle(file), unpickle(file)
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    state, storages = unpickle(file)
    content = {}
    for key in of(list, unpickle(file)[0]):
        storage = storages[of(str, key)]
        (size,) = struct.unpack("<q", file.read(8))
        if size != storage.size:
            raise ValueError(f"storage {key} has another size than announced")
        content[key] = file.read(size * storage.dtype.itemsize)
    return _arrays(state, content)


def _arrays(state: Any, content: dict[str, bytes]) -> dict[str, np.ndarray]:
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    tensors = state.items() if isinstance(state, dict) else ()
    return {
        name: _array(tensor, content[tensor.storage.key])
        for name, tensor in tensors
        if isinstance(tensor, Tensor)
    }


def _array(tensor: Tensor, content: bytes) -> np.ndarray:
    """The numbers that a tensor views, in place; refuses one that leaves its storage."""
    (key, dtype, size), offset, shape, strides = tensor
    if len(content) != size * dtype.itemsize:
        raise ValueError(f"storage {key} has another size than announced")
    count = math.prod(shape)
    reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count > size or (count and offset + reach >= size):
        raise ValueError("a tensor reaches beyond its storage")
    if not count:
        return np.zeros(shape, dtype)
    steps = [step * dtype.itemsize for step in strides]
    return np.ndarray(shape, dtype, content, offset * dtype.itemsize, steps)
