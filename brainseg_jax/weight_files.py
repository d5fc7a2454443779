"""Reads files of weights into {name: array}: Keras's HDF5, PyTorch's, safetensors.

A damaged file, or one that holds anything but tensors, is refused with a ValueError;
nothing in a file is ever run.
"""

import json
import math
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np

from brainseg_jax import torch_files

DTYPES = {
    **{"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16},
    **{"I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8},
    **{"U8": np.uint8, "BOOL": np.bool_},
}  # of safetensors
# Whatever a reader may stumble over in bytes that are not what they should be.
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, RuntimeError, StopIteration),
    *(struct.error, pickle.UnpicklingError, zipfile.BadZipFile),
)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Every named tensor of a file, in the file's own names, layout and precision."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"There is no file of weights {path}; give the path of one, or imagenet."
        )
    path.open("rb").close()  # what may not be read says so itself
    if path.suffix.lower() not in READERS:
        raise ValueError(
            f"{path} has no suffix of a weight file: {', '.join(READERS)}."
        )
    try:
        tensors = READERS[path.suffix.lower()](path)
    except torch_files.ForbiddenGlobal as error:
        raise ValueError(
            f"{path} holds more than tensors: it asks for {error}, which is not run. "
            "Save the weights alone, torch.save(model.state_dict(), path), or as "
            "safetensors."
        ) from error
    except DAMAGE as error:
        raise ValueError(
            f"{path} is truncated or damaged; download it again. "
            f"({type(error).__name__}: {error})"
        ) from error
    if not tensors:
        raise ValueError(
            f"{path} holds no tensors by name. Keras writes them with "
            "model.save('weights.h5'), not in .keras or .weights.h5; PyTorch with "
            "torch.save(model.state_dict(), 'weights.pth')."
        )
    if all(name.startswith("module.") for name in tensors):  # of DataParallel
        return {name.removeprefix("module."): tensors[name] for name in tensors}
    return tensors


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    """By layer: save_weights keeps them at the root, save under model_weights."""
    tensors = {}
    with h5py.File(path) as file:
        nested = "model_weights" in file
        root = _member(file, "model_weights") if nested else file
        for layer in _names(root, "layer_names"):
            group = _member(root, layer)
            for weight in _names(group, "weight_names"):
                dataset = _member(group, weight)
                if dataset.nbytes > path.stat().st_size:
                    raise ValueError(f"{weight} is larger than the file")
                tensors[f"{layer}/{weight.removesuffix(':0')}"] = dataset[()]
    return tensors


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names; a long one goes on in attributes with a number, from 0."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """What is stored in this very file: a link could lead to any other."""
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is missing, or lies in another file")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise ValueError(f"{name} lies in another file")
    return group


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The header's length, a header in JSON, then the numbers it has the places of."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    if length > len(content) - 8:
        raise ValueError("its header is longer than the file")
    header = json.loads(content[8 : 8 + length])
    numbers = memoryview(content)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        (start, end), shape = entry["data_offsets"], entry["shape"]
        dtype = np.dtype(DTYPES[entry["dtype"]])
        count = math.prod(shape)
        fits = 0 <= start <= end <= len(numbers) and all(size >= 0 for size in shape)
        if not fits or end - start != count * dtype.itemsize:
            raise ValueError(f"{name} reaches beyond the file or its place")
        tensors[name] = np.frombuffer(numbers[start:end], dtype).reshape(shape)
    return tensors


READERS = {
    **dict.fromkeys((".h5", ".hdf5"), _read_keras),
    **dict.fromkeys((".pth", ".pt", ".bin"), torch_files.read),
    ".safetensors": _read_safetensors,
}
