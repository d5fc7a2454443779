"""Writes files of weights as Keras, PyTorch and safetensors have them, to test reading."""

import json
import math
import pickle
import struct
import zipfile

import h5py


def write_safetensors(path, tensors, metadata=None):
    """As its specification has it: the header's length, the header, the numbers."""
    header, numbers = {"__metadata__": metadata} if metadata else {}, b""
    kinds = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}
    for name, values in tensors.items():
        start, numbers = len(numbers), numbers + values.tobytes()
        header[name] = {
            "dtype": kinds[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [start, len(numbers)],
        }
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return path


def write_keras(path, layers, nested=False):
    """The layout of Keras with layer names; `nested` as in a whole saved model."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        root.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, values in weights.items():
                group[name] = values
    return path


def write_torch(path, tensors):
    """A state dict as PyTorch saves it, of arrays in float32; each has its own storage."""
    pieces = [
        plain(name) + torch_tensor(torch_storage(key, values.size), values.shape)
        for key, (name, values) in enumerate(tensors.items())
    ]
    records = [values.astype("<f4").tobytes() for values in tensors.values()]
    return write_torch_records(path, b"}(" + b"".join(pieces) + b"u", records)


def write_torch_records(path, code, records):
    """A file of PyTorch with any pickle, and its storages' bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + code + b".")
        for key, record in enumerate(records):
            archive.writestr(f"a/data/{key}", record)
    return path


def torch_tensor(storage, shape, strides=None, offset=0):
    """What in a pickle makes a tensor; `strides` are those of a whole array, row by row."""
    if strides is None:
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    rest = plain(offset) + plain(shape) + plain(strides) + plain(False)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"}tR"


def torch_storage(key, size):
    """What in a pickle makes a storage of so many numbers."""
    rest = plain(str(key)) + plain("cpu") + plain(size)
    return b"(" + plain("storage") + b"ctorch\nFloatStorage\n" + rest + b"tQ"


def plain(value):
    """What in a pickle makes a value of Python's own types."""
    return pickle.dumps(value, 2).removeprefix(b"\x80\x02").removesuffix(b".")
