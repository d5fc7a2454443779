"""The residual U-Net of volumes: what it is made of, and its outputs on the way up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import residual_unet3d
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective


def shapes(model, *shape, train=False):
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    logits = jax.eval_shape(
        lambda variables, image: model.apply(variables, image, train=train),
        variables,
        image,
    )
    return jax.tree.map(jnp.shape, logits), variables["params"]


def test_its_parameters_by_hand():
    model = residual_unet3d.Model(
        3, widths=(4, 6), repeats=(1, 2), decoder_repeats=(2,)
    )
    _, params = shapes(model, 1, 8, 8, 8, 2)

    def conv(inputs, features, size=3):
        return size**3 * inputs * features + features  # a kernel, a bias

    def normed(inputs, features):
        return conv(inputs, features) + 2 * features

    expected = normed(2, 4)  # stem
    expected += 2 * normed(4, 4)  # one block, as wide as its image
    expected += normed(4, 6) + 3 * normed(6, 6) + 4 * 6 + 2 * 6  # two, one projected
    expected += 2**3 * 6 * 4 + 4  # transposed
    expected += normed(8, 4) + normed(4, 4) + conv(4, 3, size=1)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


def test_levels_of_the_decoder_have_outputs_in_training_alone():
    model = residual_unet3d.Model(
        3, widths=(4, 4, 4, 4, 4), repeats=(1,), deep_supervision=True
    )
    trained, params = shapes(model, 1, 32, 32, 48, 2, train=True)
    # Of the decoder's four levels all but the lowest.
    assert trained == ((1, 32, 32, 48, 3), (1, 16, 16, 24, 3), (1, 8, 8, 12, 3))
    logits, same = shapes(model, 1, 32, 32, 48, 2)
    assert logits == (1, 32, 32, 48, 3)
    assert jax.tree.structure(params) == jax.tree.structure(same)
    assert {name for name in params if name.startswith("output")} == {
        "output",
        "output_2",
        "output_3",
    }


def test_every_level_is_taught_the_shares_of_its_own_voxels():
    """By hand: weights 4/7, 2/7 and 1/7, and a target of means over windows."""
    task = segmentation.make_task({"tumour": 1}, exclusive=False, threshold=0.5)
    mask = np.zeros((1, 4, 4, 4, 1), np.uint8)
    mask[0, :2, :2, :2] = 1  # an eighth, a whole voxel at half the size
    outputs = tuple(jnp.full((1, size, size, size, 1), 2.0) for size in (4, 2, 1))
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, task)
    total, _ = loss(outputs, {"mask": jnp.asarray(mask)})
    # At every size an eighth of the target is tumour, so that all three losses agree.
    each = np.log1p(np.exp(2.0)) - 0.125 * 2.0
    np.testing.assert_allclose(total, [each], rtol=1e-6)
    only = [
        loss(tuple(x if k == n else -30 + 0 * x for n, x in enumerate(outputs)), {
            "mask": jnp.asarray(np.zeros_like(mask))
        })[0]
        for k in range(3)
    ]  # fmt: skip
    shares = np.concatenate(only) / np.log1p(np.exp(2.0))
    np.testing.assert_allclose(shares, [4 / 7, 2 / 7, 1 / 7], rtol=1e-5)


def test_a_size_it_cannot_halve_is_refused():
    with pytest.raises(ValueError, match="3D residual U-Net halves its input 5 times"):
        shapes(residual_unet3d.Model(3), 1, 96, 96, 100, 4)
