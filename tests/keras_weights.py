"""Moves weights between Keras layers and our trees, by the names of the layers."""

import numpy as np

NAMES = {
    **{"kernel": "kernel", "bias": "bias", "gamma": "scale", "beta": "bias"},
    **{"moving_mean": "mean", "moving_variance": "var", "alpha": "slope"},
}


def ours(variables, values=None):
    """Keras variables (or other values of theirs) as our tree.

    A layer "decoder_1.up" is our params["decoder_1"]["up"]. Only the kernels of transposed
    convolutions, recognised by the name "transposed", are changed: Keras has them [*size,
    out, in], Flax flipped and [*size, in, out].
    """
    tree = {"params": {}, "batch_stats": {}}
    for variable, value in zip(variables, values or variables, strict=True):
        *path, last = variable.path.replace(".", "/").split("/")
        branch = tree["batch_stats" if "moving" in last else "params"]
        for part in path:
            branch = branch.setdefault(part, {})
        value = np.asarray(value)
        if last == "kernel" and path[-1] == "transposed":
            space = tuple(range(value.ndim - 2))
            value = np.flip(np.swapaxes(value, -1, -2), space)
        branch[NAMES[last]] = value.squeeze() if last == "alpha" else value
    return tree if tree["batch_stats"] else {"params": tree["params"]}


def randomise(net):
    """Gives every variable a value far from its initial one, with logits of about one."""
    random = np.random.default_rng(0)
    for variable in net.weights:
        last = variable.path.rpartition("/")[2]
        if last == "gamma":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif last == "moving_variance":  # large enough to keep the logits near one
            variable.assign(random.uniform(1, 3, variable.shape))
        elif last == "kernel":
            deviation = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(random.normal(0, deviation, variable.shape))
        else:
            variable.assign(random.normal(0, 0.1, variable.shape))
    return net
