"""Reads files of weights into {name: array}: Keras's HDF5, PyTorch's, safetensors.

A damaged file, or one that holds anything but tensors, is refused with a ValueError;
nothing in a file is ever run.
"""

import contextlib
import json
import math
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np

from brainseg_jax.weights import torch_files, torch_pickles

DTYPES = {
    **{"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16},
    **{"I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8},
    **{"U8": np.uint8, "BOOL": np.bool_},
}  # of safetensors
LONGEST_HEADER = 1 << 22  # bytes: some 30,000 tensors
# What a reader may raise over damaged bytes.
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, RuntimeError, StopIteration),
    *(struct.error, pickle.UnpicklingError, zipfile.BadZipFile),
)


HOW_TO_SAVE = (
    "Keras writes them with model.save('weights.h5'), not in .keras or .weights.h5; "
    "PyTorch with torch.save(model.state_dict(), 'weights.pth')."
)
ZIP = ".zip"  # an archive that holds no weights by itself


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Every named tensor of a file, in the file's own names, layout and precision.

    Raises:
        ValueError: if there is no such file, it is damaged, in another format than its
            suffix says, or holds anything but tensors.
        OSError: if it may not be read.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(
            f"There is no file of weights {path}; give the path of one, or imagenet."
        )
    path.open("rb").close()  # a file that may not be read is an OSError of its own
    if (suffix := path.suffix.lower()) not in READERS:
        raise ValueError(
            f"{path} does not have the suffix of a weight file: {', '.join(READERS)}. "
            f"{HOW_TO_SAVE}"
        )
    if (kind := _kind(path)) == ZIP:
        raise ValueError(f"{path} is an archive, as .keras is. {HOW_TO_SAVE}")
    if kind and READERS[kind] is not READERS[suffix]:
        raise ValueError(f"{path} is not what its suffix says; rename it to {kind}.")
    try:
        tensors = READERS[suffix](path)
    except torch_pickles.Unreadable as error:
        raise ValueError(f"{path}: {error}") from error
    except torch_pickles.ForbiddenGlobal as error:
        raise ValueError(
            f"{path} holds more than tensors: it asks for {error}, which is not run. "
            f"{torch_pickles.ALONE}"
        ) from error
    except DAMAGE as error:
        raise ValueError(
            f"{path} is truncated or damaged; download it again. "
            f"({type(error).__name__}: {error})"
        ) from error
    if not tensors:
        raise ValueError(f"{path} holds no tensors by name. {HOW_TO_SAVE}")
    if all(name.startswith("module.") for name in tensors):  # of DataParallel
        return {name.removeprefix("module."): tensors[name] for name in tensors}
    return tensors


def _kind(path: Path) -> str:
    """The suffix of files that begin as this one does; "" if that decides nothing."""
    with path.open("rb") as file:
        start = file.read(10)
    if start[8:9] == b"{":  # after the length of the header
        return ".safetensors"
    with contextlib.suppress(*DAMAGE), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return ".pth" if any(n.endswith(torch_files.PICKLE) for n in names) else ZIP
    return ".h5" if start.startswith(b"\x89HDF") else ""


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    """Groups of layers: at the root after save_weights, under model_weights after save.

    Links are not followed, since they could lead to any other file. Lists of names are not
    read, since h5py hangs over damaged ones and the groups say the same. Tensors in chunks
    are refused, since those may be compressed: a few bytes could fill the memory, as could
    many tensors in the same place. Keras never writes chunks.
    """
    tensors: dict[str, np.ndarray] = {}
    left = path.stat().st_size

    def keep(name: str, member: h5py.Group | h5py.Dataset) -> None:
        nonlocal left
        if isinstance(member, h5py.Group) or name.startswith("top_level_model_weights"):
            return
        if member.external or member.is_virtual:
            raise ValueError(f"{name} lies in another file")
        left -= member.nbytes
        if left < 0 or member.dtype.kind not in "fiu":
            raise ValueError(f"{name} is larger than the file, or no numbers")
        if member.chunks:
            raise torch_pickles.Unreadable(
                f"{name} is stored in pieces, or compressed, which Keras never does; "
                "write it anew, h5repack -l CONTI -f NONE."
            )
        tensors[name.removesuffix(":0")] = member[()]

    with h5py.File(path) as file:
        link = file.get("model_weights", getlink=True)
        root = file["model_weights"] if isinstance(link, h5py.HardLink) else file
        if {"layer_names", "layer_names0"} & set(root.attrs):
            root.visititems(keep)
    return tensors


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The header's length, a header in JSON, then the numbers, whose places it has."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(LONGEST_HEADER, len(content) - 8):
        raise ValueError("its header is longer than the file, or than any should be")
    header = json.loads(content[8 : 8 + length])
    numbers = memoryview(content)[8 + length :]
    tensors: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = torch_pickles.sizes(tuple(entry["data_offsets"]))
        shape = torch_pickles.sizes(tuple(entry["shape"]))
        if entry["dtype"] not in DTYPES:
            raise torch_pickles.Unreadable(
                f"{name} is of type {entry['dtype']}; save it as float32 (F32). Types "
                f"that are read: {', '.join(DTYPES)}."
            )
        dtype = np.dtype(DTYPES[entry["dtype"]])
        fits = start <= end <= len(numbers)
        if not fits or end - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} reaches beyond the file or its place")
        tensors[name] = np.frombuffer(numbers[start:end], dtype).reshape(shape)
    return tensors


READERS = {
    **dict.fromkeys((".h5", ".hdf5"), _read_keras),
    **dict.fromkeys((".pth", ".pt", ".bin"), torch_files.read),
    ".safetensors": _read_safetensors,
}
