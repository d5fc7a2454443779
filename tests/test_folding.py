"""A batch normalisation becomes part of the convolution before it; all else stays."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import models, parallel, registry
from brainseg_jax.inference import folding, scoring
from brainseg_jax.models.parts import convolutions, layers
from brainseg_jax.modes import train
from brainseg_jax.runs import predictor, restore
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective
from tests.test_models import CONTRACTS

CONVOLUTIONS = (
    convolutions.Conv,
    convolutions.ConvTranspose,
    convolutions.DepthwiseConv,
)
RANGES = {"bias": (-0.5, 0.5), "mean": (-0.5, 0.5), "scale": (0.5, 1.5)}
RANGES |= {"var": (0.5, 2.0), "slope": (0.1, 0.4), "count": (1, 1)}


def random_variables(model, shape):
    """Every norm its own statistics, scale and bias, so that each has something to fold."""
    rng = np.random.default_rng(0)

    def value(path, leaf):
        name = path[-1].key
        if name == "kernel":
            inputs = max(1, np.prod(leaf.shape[:-1]))
            drawn = rng.normal(scale=np.sqrt(2 / inputs), size=leaf.shape)
        else:
            drawn = rng.uniform(*RANGES[name], leaf.shape)
        return jnp.asarray(drawn, jnp.float32)

    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    return jax.tree_util.tree_map_with_path(value, shapes)


def noise(shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def count_norms(model, shape):
    """Batch normalisations, and those that are folded."""
    norms = set()

    def note(call, arguments, options, context):
        if isinstance(context.module, nn.BatchNorm):
            norms.add(context.module.path)
        return call(*arguments, **options)

    with nn.intercept_methods(note):
        foldable = folding.find_foldable(model, shape)
    return len(norms), len(foldable)


def assert_folding_changes_no_logits(model, shape, tolerance=1e-5):
    variables = random_variables(model, shape)
    folded = jax.jit(folding.make_fold(model, shape))(variables)
    apply = jax.jit(functools.partial(folding.apply, model))
    before, after = (
        jax.tree.leaves(apply(values, noise(shape))) for values in (variables, folded)
    )
    for expected, found in zip(before, after, strict=True):
        assert np.ptp(expected) > 0
        gap = np.asarray(found, np.float64) - np.asarray(expected, np.float64)
        assert np.abs(gap).max() < tolerance * np.abs(expected).max()


FORMS = [
    (name, form)
    for name in registry.names(models)
    for form in registry.find(models, name).PUBLISHED
]


def small_form(name, form):
    """A published form cut down as its file says, and an image that it can take."""
    module, contract = registry.find(models, name), CONTRACTS[name]
    _, shape, outputs, options = module.PUBLISHED[form]
    options = {**options, **module.small(options)}
    if "dropout" in options:
        options["dropout"] = (0.0,)
    size = (2, *contract.shape[1:-1], shape[-1])
    if "encoder" in options:  # of up to five halvings
        size = (2, 32, 64, shape[-1])
    return module.Model(outputs, **options), size


def is_wide(name, form):
    """Whether it has an encoder as deep as published, which takes long to compile."""
    options = registry.find(models, name).PUBLISHED[form].options
    deep = name in ("encoder_unet", "resnet50") or "encoder" in options
    return deep or "efficientnet" in name


@pytest.mark.parametrize(
    "name, form",
    [pytest.param(*pair, marks=[pytest.mark.slow] * is_wide(*pair)) for pair in FORMS],
)
def test_a_folded_model_gives_the_same_logits(name, form):
    model, shape = small_form(name, form)
    if folding.find_foldable(model, shape):
        assert_folding_changes_no_logits(model, shape)
    else:
        variables = random_variables(model, shape)
        folded = folding.make_fold(model, shape)(variables)
        jax.tree.map(np.testing.assert_array_equal, folded, variables)


@pytest.mark.parametrize("name, form", FORMS)
def test_no_norm_that_comes_right_after_a_convolution_is_forgotten(name, form):
    model, shape = small_form(name, form)
    outputs, forgotten = [], []

    def watch(call, arguments, options, context):
        module = context.module
        if isinstance(module, nn.BatchNorm) and module.of is None:
            direct = any(arguments[0] is output for output in outputs)
            forgotten.extend([module.path] * direct)
        result = call(*arguments, **options)
        if isinstance(module, CONVOLUTIONS):
            outputs.append(result)
        return result

    with nn.intercept_methods(watch):
        image = jax.ShapeDtypeStruct(shape, jnp.float32)
        jax.eval_shape(model.init, jax.random.key(0), image)
    assert outputs and not forgotten


# Worked out by hand. U-Net: nine blocks of two. Two in each of ResUNet's Stem come after an
# activation; its eight blocks have three. adityajn105's four come after poolings, the 3D
# attention U-Net's after sums. ResNet50: 1 + 3 x 16 and four projections. EfficientNetB0:
# 15 blocks of three, one without expansion, stem and top. Gates have two each.
COUNTS = {
    ("unet", "system 000, reconstructed"): (18, 18),
    ("unet", "system 004"): (22, 22),  # and four after the upsampling
    ("unet", "adityajn105"): (4, 0),
    ("resunet", "systems 002, 003"): (26, 24),
    ("attention_unet3d", "system 001"): (2, 0),
    ("resnet50", "system 002"): (53, 53),
    ("efficientnet_b0", "system 004"): (49, 49),
    # To conv4_block6: 1 + 3 x 13 and three projections; four decoders of two.
    ("encoder_unet", "system 000, ResNet50-UNet, reconstructed"): (51, 51),
    ("encoder_unet", "system 000, ResNet50-UANet"): (59, 59),
    ("unet3d", "system 001"): (0, 0),
}


@pytest.mark.parametrize("name, form", COUNTS)
def test_every_norm_after_a_convolution_is_folded(name, form):
    _, shape, outputs, options = registry.find(models, name).PUBLISHED[form]
    model = registry.find(models, name).Model(outputs, **options)
    counts = count_norms(model, (1, *shape))
    assert counts == COUNTS[name, form]
    assert count_norms(model.clone(remat=True), (1, *shape)) == counts


@pytest.mark.parametrize(
    "name, options",
    [
        ("unet", {"upsampling": "transposed_3", "bias": False, "remat": True}),
        ("vnet3d", {"norm": "batch"}),  # activated transposed convolutions, in 3D
    ],
)
def test_forms_that_nobody_published_are_folded_too(name, options):
    module, shape = registry.find(models, name), (1, *CONTRACTS[name].shape[1:])
    model = module.Model(2, **{**options, **module.small(options)})
    all_norms, folded = count_norms(model, shape)
    assert all_norms == folded > 0
    assert_folding_changes_no_logits(model, shape)


def test_what_is_not_folded_is_applied_as_by_the_model():
    model, shape = small_form("resunet", "systems 002, 003")
    variables, image = random_variables(model, shape), noise(shape)
    apply = jax.jit(functools.partial(folding.apply, model))
    np.testing.assert_array_equal(
        apply(variables, image), jax.jit(model.apply)(variables, image)
    )


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_other_normalisations_are_left_alone(norm):
    model = registry.find(models, "unet").Model(1, widths=(4, 6), norm=norm)
    assert folding.find_foldable(model, (1, 8, 8, 3)) == []


class Block(nn.Module):
    """A convolution and a norm of the given fields, activated in between if so wanted."""

    of: str
    bias: bool = True
    activated: bool = False
    twice: bool = False
    fields: tuple = ()

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        image = convolutions.Conv(2, use_bias=self.bias, name="conv")(image)
        source = nn.relu(image) if self.activated else image
        norm = functools.partial(layers.BatchNorm, True, of=self.of)
        if self.twice:
            norm(name="other_norm")(source)
        return norm(name="norm", **dict(self.fields))(source)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("use_scale", [True, False])
def test_norms_without_scale_or_bias_fold_by_their_own_epsilon(
    bias, use_bias, use_scale
):
    fields = {"use_bias": use_bias, "use_scale": use_scale, "epsilon": 0.5}
    model = Block("conv", bias=bias, fields=(*fields.items(),))
    assert_folding_changes_no_logits(model, (1, 4, 4, 3))


def test_kernel_and_bias_are_those_worked_out_by_hand():
    model = Block("conv", fields=(("epsilon", 1.0),))
    variables = {
        "params": {
            "conv": {"kernel": jnp.ones((3, 3, 1, 2)), "bias": jnp.array([1.0, 2.0])},
            "norm": {"scale": jnp.array([4.0, 6.0]), "bias": jnp.array([5.0, 7.0])},
        },
        "batch_stats": {
            "norm": {"mean": jnp.array([3.0, 0]), "var": jnp.array([3.0, 8])}
        },
    }
    # Factors 4 / sqrt(3 + 1) and 6 / sqrt(8 + 1); biases (1 - 3) 2 + 5 and (2 - 0) 2 + 7.
    folded = folding.make_fold(model, (1, 4, 4, 1))(variables)
    conv = {"kernel": 2 * jnp.ones((3, 3, 1, 2)), "bias": jnp.array([1.0, 11.0])}
    expected = {"params": {"conv": conv}}
    assert jax.tree.structure(folded) == jax.tree.structure(expected)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-6), folded, expected
    )


@pytest.mark.parametrize(
    "model, message",
    [
        (Block("convolution"), "norm is .* of 'convolution', .* there are: conv"),
        (Block("conv", activated=True), "norm is .* of 'conv', but .* another image"),
        (Block("conv", twice=True), "norm is .* of 'conv', as is another one"),
    ],
)
def test_a_norm_that_is_not_of_what_it_says_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        folding.make_fold(model, (1, 4, 4, 3))


def test_what_comes_in_is_not_changed_and_a_bare_model_refuses_what_comes_out():
    model, image = Block("conv"), noise((1, 4, 4, 3))
    variables = random_variables(model, image.shape)
    before = jax.tree.map(np.array, variables)
    folded = folding.make_fold(model, image.shape)(variables)
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    with pytest.raises(Exception, match="mean"):
        model.apply(folded, image)


def test_bfloat16_is_folded_in_float32_and_computed_as_before():
    shape = (2, 16, 32, 3)
    model = registry.find(models, "unet").Model(1, widths=(4, 6), dtype=jnp.bfloat16)
    variables = random_variables(model, shape)
    folded = folding.make_fold(model, shape)(variables)
    assert {leaf.dtype for leaf in jax.tree.leaves(folded)} == {jnp.dtype("float32")}
    exact = jax.jit(model.clone(dtype=jnp.float32).apply)(variables, noise(shape))
    apply = jax.jit(functools.partial(folding.apply, model))
    errors = [
        float(jnp.abs(apply(values, noise(shape)) - exact).max())
        for values in (variables, folded)
    ]
    # Eight bits: each is off by its own rounding, and the folded one by no more.
    assert 0 < errors[1] < 2 * errors[0] < 0.2 * float(jnp.abs(exact).max())


@pytest.mark.parametrize("mode", parallel.MODES)
def test_two_devices_fold_and_score_as_one(mode):
    task = segmentation.make_task({"tumour": 1}, exclusive=False, threshold=0.5)
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, task)
    model, shape = small_form("resunet", "systems 002, 003")
    variables = random_variables(model, shape)
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 255, (4, *shape[1:])).astype(np.uint8),
        "mask": rng.integers(0, 2, (4, *shape[1:-1], 1)).astype(np.uint8),
        "scaling": np.array([[0.0], [255.0], [127.0], [70.0]] * 4, np.float32)
        .reshape(4, 4, 1)
        .repeat(shape[-1], axis=2),
    }
    step = scoring.make_eval_step(model, task, loss, ())

    def scored(mode, count, folds):
        devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
        values = devices.replicate(variables)
        if folds:
            values = devices.on_all(folding.make_fold(model, shape))(values)
            (leaf, *_) = jax.tree.leaves(values)
            assert leaf.sharding.is_fully_replicated
            assert len(leaf.sharding.device_set) == count
        result = devices.eval_step(step)(values, {}, devices.shard(batch))
        return devices.gather(result)["loss"]

    found = scored(mode, 2, folds=True)
    np.testing.assert_allclose(found, scored(mode, 1, folds=True), rtol=1e-5)
    np.testing.assert_allclose(found, scored("pmap", 1, folds=False), rtol=1e-5)


def count_roots(function, *arguments):
    """How many normalisations a function computes."""
    return str(jax.make_jaxpr(function)(*arguments)).count("rsqrt")


@pytest.fixture
def counted(monkeypatch):
    """Normalisations in every step that scores a batch, as it is scored."""
    found, score = [], scoring.score

    def counting(step, *arguments, **options):
        def counted_step(*of_a_batch):
            found.append(count_roots(step, *of_a_batch))
            return step(*of_a_batch)

        return score(counted_step, *arguments, **options)

    monkeypatch.setattr(scoring, "score", counting)
    return found


def test_validating_evaluating_and_predicting_are_folded(
    config, tmp_path, counted, monkeypatch
):
    config.epochs, config.data.test, config.evaluation.mirror = 1, "", ()
    summary = train.train(config, str(tmp_path))
    # The two norms of the ResUNet's Stem, which come after an activation, in two batches
    # of the validation split and the same two when it is reported.
    assert counted == [2] * 4

    restored = restore.restore(tmp_path)
    (row,) = restored.record.progress.history
    assert row["validation_patient_dice"] == summary["patient_dice"]
    image, scaling = np.zeros((40, 36, 3), np.uint8), np.ones((4, 3), np.float32)
    predict = functools.partial(predictor.make_predictor(restored), image)
    assert count_roots(predict, scaling) == 2
    monkeypatch.setattr(folding, "fold", lambda variables, foldable: variables)
    predict = functools.partial(predictor.make_predictor(restored), image)
    assert count_roots(predict, scaling) > 2
