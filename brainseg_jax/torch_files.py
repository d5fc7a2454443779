"""Reads tensors from PyTorch's files without PyTorch: tensors, and nothing else.

Such a file is a pickle, which could run any program. This one's may only name what
tensors are made of; whatever else it names is refused before it is looked up.
"""

import collections
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # of files written before PyTorch 1.6
STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
WRAPPERS = ("state_dict", "model_state_dict", "model")


class ForbiddenGlobal(pickle.UnpicklingError):
    """The file asks for something that is no part of a tensor."""


class Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: np.dtype
    size: int


class Tensor(NamedTuple):
    """A strided view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, or of the one in a checkpoint, by name."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive, path.stat().st_size)
    with path.open("rb") as file:
        return _read_stream(file)


def _read_zip(archive: zipfile.ZipFile, limit: int) -> dict[str, np.ndarray]:
    """PyTorch 1.6 and newer: a pickle, and a record per storage, none compressed."""
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise ValueError(f"{info.filename} is compressed")
    names = archive.namelist()
    folder = next(n for n in names if n.endswith("/data.pkl")).removesuffix("data.pkl")
    if (
        f"{folder}byteorder" in names
        and archive.read(f"{folder}byteorder") != b"little"
    ):
        raise ValueError("its numbers are big-endian")
    with archive.open(f"{folder}data.pkl") as file:
        unpickler = _Unpickler(file)
        state = unpickler.load()
    content = {k: archive.read(f"{folder}data/{k}") for k in unpickler.storages}
    return _arrays(state, content)


def _read_stream(file: BinaryIO) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: five pickles in a row, then every storage."""
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("no file of PyTorch")
    _version, system = _Unpickler(file).load(), _Unpickler(file).load()
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    content = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        count = size * storage.dtype.itemsize
        if size != storage.size or count > os.fstat(file.fileno()).st_size:
            raise ValueError(f"storage {key} has another size than announced")
        content[key] = file.read(count)
    return _arrays(state, content)


class _Unpickler(pickle.Unpickler):
    """Knows tensors and dictionaries only."""

    def __init__(self, file: Any):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}
        self._globals = _globals()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._globals:
            raise ForbiddenGlobal(f"{module}.{name}")
        return self._globals[module, name]

    def persistent_load(self, saved: Any) -> Storage:
        kind, dtype, key, _device, size, *views = saved
        storage = Storage(key, np.dtype(STORAGES[dtype]), size)
        known = self.storages.setdefault(key, storage)
        if kind != "storage" or any(views) or known != storage:
            raise pickle.UnpicklingError(f"storage {key} is not plain")
        return storage


def _globals() -> dict[tuple[str, str], Any]:
    """Made anew for every pickle, since a pickle can set attributes of what it is given."""
    rebuild: dict[str, Callable] = {
        "_rebuild_tensor": lambda *parts: Tensor(*parts),
        "_rebuild_tensor_v2": lambda *parts: Tensor(*parts[:4]),
        "_rebuild_parameter": lambda tensor, *_: tensor,
    }
    return {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch", "Size"): lambda sizes: tuple(sizes),
        **{("torch", name): name for name in STORAGES},
        **{("torch._utils", name): value for name, value in rebuild.items()},
    }


def _arrays(state: Any, content: dict[str, bytes]) -> dict[str, np.ndarray]:
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    tensors = state.items() if isinstance(state, dict) else ()
    return {
        name: _array(tensor, content[tensor.storage.key])
        for name, tensor in tensors
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }


def _array(tensor: Tensor, content: bytes) -> np.ndarray:
    """The numbers that a tensor views, copied; refuses one that leaves its storage."""
    storage, offset, shape, strides = tensor
    sizes = (offset, *shape, *strides)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError("a tensor has an impossible shape")
    values = np.frombuffer(content, storage.dtype, storage.size)
    count = math.prod(shape)
    reach = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count > len(values) or (count and offset + reach >= len(values)):
        raise ValueError("a tensor reaches beyond its storage")
    if not count:
        return np.zeros(shape, storage.dtype)
    steps = [step * storage.dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps).copy()
