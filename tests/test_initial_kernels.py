"""Where the kernels of every published net start: width and shape of what is drawn.

Typed in from the references' code; the libraries' defaults where that says nothing.
"""

import collections
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import models, registry

# Convolutions but transposed ones, outputs and those of a classifier's encoder.
CONVOLUTIONS = {
    ("unet", "system 000, reconstructed"): "glorot_uniform",
    ("unet", "system 004"): "glorot_uniform",
    ("unet", "system 004, dropout"): "he_normal",
    ("unet", "adityajn105"): "he_normal",
    ("unet", "Buda et al. 2019"): "pytorch_uniform",
    "attention_unet": "glorot_uniform",
    "attention_unet3d": "glorot_uniform",
    "cnn": "he_uniform",
    "encoder_unet": "glorot_uniform",
    "fcn3d": "glorot_uniform",
    "residual_unet3d": "he_normal",  # of a leaky ReLU there, 1e-4 less in variance
    "resunet": "he_normal",
    "segnet3d": "he_uniform",
    "two_headed_unet": "glorot_uniform",
    "unet3d": "he_uniform",
    "unet_plus_plus": "glorot_uniform",
    "vnet3d": "he_normal",  # by the mean of both fans there
}
ENCODERS = {
    "efficientnet_b0": "he_normal_out",
    "efficientnet_lite0": "he_normal_out",
    "resnet50": "glorot_uniform",
    "vgg16": "glorot_uniform",
}
HIDDEN = {
    "cnn": "he_uniform",
    ("vgg16", "system 002, model 1"): "he_uniform",
    ("vgg16", "system 002, model 2"): "glorot_uniform",
    "resnet50": "glorot_uniform",
}
FORMS = [
    # Large nets in make test-all.
    pytest.param(
        name, form, marks=[pytest.mark.slow] * (published.parameters > 5_000_000)
    )
    for name in registry.names(models)
    for form, published in registry.find(models, name).PUBLISHED.items()
]


def of(table, name, form):
    return table.get((name, form)) or table[name]


def expected(name, form, options, path):
    """The initialiser of the kernel of one layer."""
    last, encoder = path[-1], options.get("encoder", "resnet50")
    if last.startswith(("output", "transposed")):
        return "glorot_uniform"
    if last.startswith("dense"):
        return of(HIDDEN, name, form)
    if last == "dwconv":
        return "depthwise"
    if path[0] == "encoder" and name in ENCODERS:
        return ENCODERS[name]
    if path[0] == "encoder" and (name == "encoder_unet" or "encoder" in options):
        return ENCODERS[encoder]
    return of(CONVOLUTIONS, name, form)


def spread(initialiser, shape):
    """Variance and largest value of a kernel [*size, in, out], by the papers' formulas."""
    size = math.prod(shape[:-2])
    fan_in, fan_out = size * shape[-2], size * shape[-1]
    variance = {
        "glorot_uniform": 2 / (fan_in + fan_out),
        "he_normal": 2 / fan_in,
        "he_uniform": 2 / fan_in,
        "he_normal_out": 2 / fan_out,
        "pytorch_uniform": 1 / (3 * fan_in),
        "depthwise": 2 / size,  # each channel goes to itself alone
    }[initialiser]
    if initialiser.endswith("uniform"):
        return variance, math.sqrt(3 * variance)
    # A normal distribution cut off at two deviations has a deviation of 0.8796 of them.
    return variance, 2 * math.sqrt(variance) / 0.8796


@pytest.mark.parametrize("name, form", FORMS)
def test_kernels_start_as_those_of_the_reference(name, form, monkeypatch):
    module = registry.find(models, name)
    _, shape, outputs, options = module.PUBLISHED[form]
    drawn, plain = collections.defaultdict(set), nn.Module.param

    def param(self, leaf, initialise, *arguments, **named):
        if leaf == "kernel":
            wanted = expected(name, form, options, self.path)
            drawn[wanted].add((initialise, tuple(arguments[0][:-2])))
        return plain(self, leaf, initialise, *arguments, **named)

    monkeypatch.setattr(nn.Module, "param", param)
    image = jnp.zeros((1, *(128 for _ in shape[:-1]), shape[-1]))
    jax.eval_shape(module.Model(outputs, **options).init, jax.random.key(0), image)
    assert drawn
    for wanted, initialisers in drawn.items():
        for initialise, size in initialisers:
            # Of two widths, so that the fans are not each other's.
            wide = (*size, 1, 3000) if wanted == "depthwise" else (*size, 150, 100)
            key = jax.random.key(0, impl="rbg")
            kernel = np.asarray(initialise(key, wide, jnp.float32))
            variance, largest = spread(wanted, wide)
            assert kernel.var() == pytest.approx(variance, rel=0.05), wanted
            assert np.abs(kernel).max() == pytest.approx(largest, rel=0.02), wanted
