"""Reads a pickle of PyTorch's without running it: values, storages and tensors.

A pickle is a program, which could do anything. Only the instructions that a state dict is
made of are followed; any other instruction, and any other name, is refused.
"""

import pickle
import pickletools
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

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
LONGEST = 1 << 21  # bytes of a pickle: some 15,000 tensors, at worst 300 MB in memory
LARGEST = (1 << 63) - 1  # numbers in an array
AXES = 64  # of an array
ARGUMENTS = 8  # of a call
ALONE = (
    "Save the weights alone, torch.save(model.state_dict(), path), or as safetensors."
)
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


class Unreadable(ValueError):
    """The file may be whole, but is of a kind that is not read; says what to do."""


class ForbiddenGlobal(pickle.UnpicklingError):
    """The file names something that no tensor needs."""


class Global(NamedTuple):
    """Something that a pickle names; it is kept as a name and never imported."""

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


def sizes(found: Any) -> tuple[int, ...]:
    """The lengths or strides of an array's axes; ValueError if they cannot be."""
    if len(of(tuple, found)) > AXES:
        raise ValueError("a tensor has too many axes")
    if any(type(size) is not int or not 0 <= size <= LARGEST for size in found):
        raise ValueError("a tensor has an impossible size")
    return found


def unpickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """The value of a file's next pickle, and the storages that it names.

    Raises:
        Unreadable: if it is too long, or of instructions that no state dict has.
        pickle.UnpicklingError: if it is damaged, or names what no tensor needs
            (ForbiddenGlobal).
    """
    reader, start = _Reader(), file.tell()
    for instruction, argument, _ in pickletools.genops(file):
        if file.tell() - start > LONGEST:
            raise Unreadable(f"its pickle is longer than {LONGEST} bytes. {ALONE}")
        reader.follow(instruction.name, argument)
    return reader.values.pop(), reader.storages


class _Reader:
    """Follows a pickle's instructions; makes the types of this file and nothing else."""

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
                of(list, values[-1]).extend(taken)
            case "SETITEM" | "SETITEMS":
                pairs = zip(taken[::2], taken[1::2], strict=True)
                of(dict, values[-1]).update(_named(pairs))
            case _:
                values.append(self._make(instruction, argument, taken))

    def _take(self, instruction: str) -> list[Any]:
        """Takes from the stack the values that an instruction needs."""
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
        raise Unreadable(
            f"{instruction} is in its pickle, which is no part of a state dict: it holds "
            f"something else, or is damaged. {ALONE}"
        )

    def _storage(self, saved: Any) -> Storage:
        """The storage of ("storage", type, key, device, size), and no view of another."""
        kind, found, key, _device, size, *views = of(tuple, saved)[:7]
        dtype = np.dtype(STORAGES[of(Global, found).name])
        storage = Storage(of(str, key), dtype, *sizes((size,)))
        known = self.storages.setdefault(storage.key, storage)
        if kind != "storage" or any(views) or known != storage:
            raise pickle.UnpicklingError(f"storage {key} is not plain")
        return storage


def of(kind: type, value: Any) -> Any:
    """The value; pickle.UnpicklingError if it is not of exactly this type."""
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
    found = Global(of(str, module), of(str, name))
    if found not in CALLS and (module != "torch" or name not in STORAGES):
        raise ForbiddenGlobal(f"{module}.{name}")
    return found


def _call(function: Any, arguments: Any) -> Any:
    if len(of(tuple, arguments)) > ARGUMENTS:
        raise pickle.UnpicklingError("a call has too many arguments")
    return CALLS[of(Global, function)](*arguments)


def _dictionary(pairs: Any = None) -> dict[str, Any]:
    """An ordered dictionary, empty but for Python 2, which gives its pairs in a list.

    The list is emptied: made into one dictionary after the other, it would fill the memory.
    """
    if pairs is None:
        return {}
    items = _named(of(list, pairs))
    pairs.clear()
    return items


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_hooks: Any
) -> Tensor:
    (first,) = sizes((offset,))
    return Tensor(of(Storage, storage), first, sizes(shape), sizes(strides))


def _parameter(tensor: Any, *_hooks: Any) -> Tensor:
    return of(Tensor, tensor)


CALLS: dict[Global, Callable[..., Any]] = {
    Global("collections", "OrderedDict"): _dictionary,
    Global("torch", "Size"): sizes,
    Global("torch._utils", "_rebuild_tensor"): _tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Global("torch._utils", "_rebuild_parameter"): _parameter,
}
