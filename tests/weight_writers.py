"""Writes files of weights as Keras and safetensors have them, for tests of reading."""

import json
import struct

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
