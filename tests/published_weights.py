"""Encoders' shapes, and files of random weights as their publishers write them."""

import jax
import jax.numpy as jnp
import numpy as np

from brainseg_jax.models import resnet50
from brainseg_jax.weights import layer_names
from tests import weight_writers
from tests.fixtures import seeded

SIZE = (64, 96)


ONE_KERNEL = np.arange(7 * 7 * 3 * 64, dtype=np.float32).reshape(7, 7, 3, 64)


STEM = {  # all that ResNet50's first tap needs
    "conv1_conv": {"conv1_conv/kernel:0": ONE_KERNEL, "conv1_conv/bias:0": np.ones(64)},
    "conv1_bn": {
        f"conv1_bn/{name}:0": np.full(64, value, np.float32)
        for value, name in enumerate(
            ("gamma", "beta", "moving_mean", "moving_variance")
        )
    },
}


def shapes(encoder, channels=3):
    image = jnp.zeros((1, *SIZE, channels))
    return jax.eval_shape(encoder.init, jax.random.key(0), image)


def write_torchvision(path, prefix=""):
    """Seeded weights of ResNet50, by torchvision's names and in its order of axes."""
    tree = shapes(resnet50.Encoder(variant="torchvision"))
    theirs = {v: k for k, v in layer_names.LAYERS["resnet50", "pytorch"].items()}
    leaves = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    leaves |= {"mean": "running_mean", "var": "running_var"}
    tensors = {prefix + "fc.weight": np.zeros((1000, 2048), np.float32)}
    for path_, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _, *modules, last = (key.key for key in path_)
        tensor = f"{theirs['_'.join(modules)]}.{leaves[last]}"
        shape = leaf.shape
        if len(shape) == 4:
            shape = (shape[3], shape[2], *shape[:2])
        tensors[prefix + tensor] = seeded.weight(tensor, shape, variance=2)
    tensors[prefix + "bn1.num_batches_tracked"] = np.array(7)
    return weight_writers.write_safetensors(path, tensors)
