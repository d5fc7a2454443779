"""Reads tensors from PyTorch's files without PyTorch: tensors, and nothing else.

Such a file is a pickle: a program, which could be any. None is run here. The instructions
that a state dict is made of are followed one by one, and make plain values, storages and
tensors; any other instruction, and whatever else is named, is refused.
"""

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterable
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
LONGEST = 1 << 21  # bytes of a pickle: some 15,000 tensors, at worst 300 MB in memory
LARGEST = (1 << 63) - 1  # numbers in an array
AXES = 64  # of an array
ARGUMENTS = 8  # of a call
# Instructions: of values that are always the same, of values that stand in the pickle, and
# how many values others take from the stack; None for all since the last mark.
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
WRITTEN = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"),
)
TAKEN = {
    **{"TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3},
    **{"APPEND": 1, "APPENDS": None, "SETITEM": 2, "SETITEMS": None},
    **{"STACK_GLOBAL": 2, "REDUCE": 2, "BINPERSID": 1, "BUILD": 1},
}


class ForbiddenGlobal(pickle.UnpicklingError):
    """The file asks for something that is no part of a tensor."""


class Global(NamedTuple):
    """What a pickle asks for by name; it gets the name, never the thing."""

    module: str
    name: str


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
    """The tensors of a state dict, or of the one in a checkpoint, by name.

    They are views of the storages, read-only, so that what they share is in memory once.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive, path.stat().st_size)
    return _read_stream(io.BytesIO(path.read_bytes()))


def sizes(found: Any) -> tuple[int, ...]:
    """The lengths or strides of an array's axes; refuses what cannot be any."""
    if len(_of(tuple, found)) > AXES:
        raise ValueError("a tensor has too many axes")
    if any(type(size) is not int or not 0 <= size <= LARGEST for size in found):
        raise ValueError("a tensor has an impossible size")
    return found


def _read_zip(archive: zipfile.ZipFile, limit: int) -> dict[str, np.ndarray]:
    """PyTorch 1.6 and newer: a pickle, and a record per storage, none compressed.

    Records may not overlap, either: together they are no larger than the file, `limit`.
    """
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValueError(f"{info.filename} is compressed or encrypted")
    if sum(info.file_size for info in archive.infolist()) > limit:
        raise ValueError("its records are larger than the file")
    names = archive.namelist()
    folder = next(n for n in names if n.endswith("/data.pkl")).removesuffix("data.pkl")
    if (
        f"{folder}byteorder" in names
        and archive.read(f"{folder}byteorder") != b"little"
    ):
        raise ValueError("its numbers are big-endian")
    state, storages = _load(io.BytesIO(archive.read(f"{folder}data.pkl")))
    return _arrays(state, {k: archive.read(f"{folder}data/{k}") for k in storages})


def _read_stream(file: BinaryIO) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: five pickles in a row, then every storage."""
    if _load(file)[0] != MAGIC:
        raise ValueError("no file of PyTorch")
    _version, (system, _) = _load(file), _load(file)
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    state, storages = _load(file)
    content = {}
    for key in _of(list, _load(file)[0]):
        storage = storages[_of(str, key)]
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


def _load(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """What the next pickle of a file makes, and the storages that it names."""
    reader, start = _Reader(), file.tell()
    for instruction, argument, _ in pickletools.genops(file):
        if file.tell() - start > LONGEST:
            raise pickle.UnpicklingError(f"a pickle is longer than {LONGEST} bytes")
        reader.follow(instruction.name, argument)
    return reader.values.pop(), reader.storages


class _Reader:
    """Follows a pickle's instructions, and makes what is in this file, nothing else."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def follow(self, instruction: str, argument: Any) -> None:
        taken, values = self._take(instruction), self.values
        match instruction:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BUILD":
                pass  # attributes, such as the versions of layers, are left out
            case "MARK":
                self.marks.append(len(values))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = values[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = values[-1]
            case "APPEND" | "APPENDS":
                _of(list, values[-1]).extend(taken)
            case "SETITEM" | "SETITEMS":
                pairs = zip(taken[::2], taken[1::2], strict=True)
                _of(dict, values[-1]).update(_named(pairs))
            case _:
                values.append(self._make(instruction, argument, taken))

    def _take(self, instruction: str) -> list[Any]:
        """Takes from the stack what an instruction needs."""
        count = TAKEN.get(instruction, 0)
        start = self.marks.pop() if count is None else len(self.values) - count
        if not 0 <= start <= len(self.values):
            raise pickle.UnpicklingError("a value is missing")
        taken = self.values[start:]
        del self.values[start:]
        return taken

    def _make(self, instruction: str, argument: Any, taken: list[Any]) -> Any:
        """The value that an instruction puts on the stack."""
        if instruction in CONSTANTS:
            return CONSTANTS[instruction]
        if instruction in WRITTEN:
            return argument
        match instruction:
            case "EMPTY_LIST":
                return []
            case "EMPTY_DICT":
                return {}
            case "BINGET" | "LONG_BINGET":
                return self.memo[argument]
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                return tuple(taken)
            case "GLOBAL":
                return _global(*argument.split(" ", 1))
            case "STACK_GLOBAL":
                return _global(*taken)
            case "REDUCE":
                return _call(*taken)
            case "BINPERSID":
                return self._storage(*taken)
        raise pickle.UnpicklingError(f"{instruction} is no part of a state dict")

    def _storage(self, saved: Any) -> Storage:
        """The storage of ("storage", type, key, device, size), and no view of another."""
        kind, found, key, _device, size, *views = _of(tuple, saved)[:7]
        dtype = np.dtype(STORAGES[_of(Global, found).name])
        storage = Storage(_of(str, key), dtype, *sizes((size,)))
        known = self.storages.setdefault(storage.key, storage)
        if kind != "storage" or any(views) or known != storage:
            raise pickle.UnpicklingError(f"storage {key} is not plain")
        return storage


def _of(kind: type, value: Any) -> Any:
    """The value, which has to be of this very type."""
    if type(value) is not kind:
        raise pickle.UnpicklingError(
            f"a {type(value).__name__} is where a {kind.__name__} belongs"
        )
    return value


def _named(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """The items that have a name, such as tensors have.

    No other key is hashed: a tuple of the same tuple twice, and so on, takes forever.
    """
    return {key: value for key, value in pairs if type(key) is str}


def _global(module: Any, name: Any) -> Global:
    found = Global(_of(str, module), _of(str, name))
    if found not in CALLS and (module != "torch" or name not in STORAGES):
        raise ForbiddenGlobal(f"{module}.{name}")
    return found


def _call(function: Any, arguments: Any) -> Any:
    if len(_of(tuple, arguments)) > ARGUMENTS:
        raise pickle.UnpicklingError("a call has too many arguments")
    return CALLS[_of(Global, function)](*arguments)


def _dictionary(pairs: Any = None) -> dict[str, Any]:
    """An ordered dictionary, empty but for Python 2, which gives its pairs in a list.

    The list is emptied: made into one dictionary after the other, it would fill the memory.
    """
    if pairs is None:
        return {}
    items = _named(_of(list, pairs))
    pairs.clear()
    return items


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_hooks: Any
) -> Tensor:
    (first,) = sizes((offset,))
    return Tensor(_of(Storage, storage), first, sizes(shape), sizes(strides))


def _parameter(tensor: Any, *_hooks: Any) -> Tensor:
    return _of(Tensor, tensor)


CALLS: dict[Global, Callable[..., Any]] = {
    Global("collections", "OrderedDict"): _dictionary,
    Global("torch", "Size"): sizes,
    Global("torch._utils", "_rebuild_tensor"): _tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Global("torch._utils", "_rebuild_parameter"): _parameter,
}
