"""Starting from another run's weights: what is taken, what is fresh, what is refused."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from brainseg_jax import models, registry
from brainseg_jax.runs import channels, experiment, records, restore, transfer
from brainseg_jax.runs.experiment import Parts
from brainseg_jax.tasks import segmentation
from brainseg_jax.training.state import create_state
from configs import base
from tests.test_records import INFO, make_about

SIZE = (32, 32)
THEIRS = ("pre", "flair", "post")
UNET = {"widths": (4, 6)}
# The image itself is its finest skip, and its encoder has statistics of the image.
ON_B0 = {"encoder": "efficientnet_b0", "stages": 2, "widths": (4, 6)}


def make_task(names=("tumour",)):
    classes = {name: place for place, name in enumerate(names, start=1)}
    return segmentation.make_task(classes, exclusive=False, threshold=0.5)


def make_model(name, options, outputs=1):
    return experiment.make_model(name, options, outputs=outputs, dtype="float32")


def random_values(model, count):
    """Variables none of which is 0 or 1, so that all of them matter."""
    shapes = jax.eval_shape(
        model.init, jax.random.key(0), jnp.zeros((1, *SIZE, count), jnp.float32)
    )
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), jnp.float32), shapes
    )


@pytest.fixture
def run_of(monkeypatch):
    """Makes config.init_from find a run of a model, of random weights."""

    def make(name, options=None, classes=("tumour",), names=THEIRS, outputs=1):
        model = make_model(name, options or {}, outputs)
        config = base.get_config().to_dict()
        config["data"] |= {"size": list(SIZE), "normalisation": {"name": "unit"}}
        data = {**INFO.to_record(), "channels": list(names)}
        about = make_about(config=config, data=data, trained_patients=("one",))
        record = records.Record(about, records.Progress(), 0)
        parts = Parts(make_task(classes), model, None, (1, *SIZE, len(names)))
        other = restore.Restored(record, parts, random_values(model, len(names)))
        monkeypatch.setattr(restore, "restore", lambda workdir: other)
        monkeypatch.setattr(restore, "read_best", lambda workdir: record)
        monkeypatch.setattr(restore, "rebuild_parts", lambda about: parts)
        return other

    return make


def start(name, options, names=THEIRS, *, classes=("tumour",), way="match", **changes):
    """The state and model of a run that starts from `run_of`'s."""
    config = base.get_config()
    config.init_from, config.init_channels = "run", way
    config.data.size = SIZE
    config.data.normalisation = changes.pop("normalisation", {"name": "unit"})
    config.model.name = name
    model = make_model(name, options, len(classes))
    transfer.check_origin(model, config)
    shape = (1, *SIZE, len(names))
    key = jax.random.key(0, impl="rbg")  # compiles faster
    fresh = create_state(model, optax.sgd(0.1), key, shape, average=True)
    parts = Parts(make_task(classes), model, None, shape)
    state, origin = transfer.transfer(fresh, parts, names, config)
    assert origin.about.trained_patients == ("one",)
    jax.tree.map(np.testing.assert_array_equal, state.average, state.variables)
    return state, model, fresh


def image_of(names):
    """The same picture, whichever of its channels are asked for, in any order."""
    rng = np.random.default_rng(1)
    planes = {name: rng.uniform(size=SIZE) for name in THEIRS}
    return jnp.asarray(
        np.stack([planes[name] for name in names], -1)[None], jnp.float32
    )


@pytest.mark.parametrize("name, options", [("unet", UNET), ("encoder_unet", ON_B0)])
def test_channels_in_another_order_give_the_same_logits(name, options, run_of):
    other, names = run_of(name, options), ("post", "pre", "flair")
    state, model, _ = start(name, options, names)
    apply = jax.jit(model.apply)
    found = apply(state.variables, image_of(names))
    expected = apply(other.variables, image_of(THEIRS))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_some_of_the_channels_are_taken_by_name(run_of, caplog):
    caplog.set_level(logging.INFO)
    other = run_of("unet", UNET)
    state, _, _ = start("unet", UNET, ("post", "pre"))
    kernel = other.variables["params"]["encoder"]["level_1"]["conv_1"]["kernel"]
    found = state.params["encoder"]["level_1"]["conv_1"]["kernel"]
    np.testing.assert_array_equal(found, kernel[:, :, [2, 0]])
    assert "taken by name: post, pre; left out: flair" in caplog.text
    assert "params/encoder/level_1/conv_1/kernel" in caplog.text
    assert "new head" not in caplog.text


def test_an_unknown_channel_is_refused_and_may_start_from_the_mean(run_of, caplog):
    caplog.set_level(logging.INFO)
    other, names = run_of("unet", UNET), ("t2", "pre", "flair", "post")
    with pytest.raises(ValueError, match="not t2. config.init_channels=mean"):
        start("unet", UNET, names)
    state, _, _ = start("unet", UNET, names, way="mean")
    kernel = other.variables["params"]["encoder"]["level_1"]["conv_1"]["kernel"]
    found = state.params["encoder"]["level_1"]["conv_1"]["kernel"]
    np.testing.assert_array_equal(found[:, :, 1:], kernel)
    np.testing.assert_allclose(found[:, :, 0], kernel.mean(2), rtol=1e-6)
    said = "taken by name: pre, flair, post; from the mean of all of theirs: t2; in"
    assert said in caplog.text


def test_fresh_starts_anew_what_reads_the_image_and_nothing_else(run_of, caplog):
    caplog.set_level(logging.INFO)
    other = run_of("encoder_unet", ON_B0)
    state, _, fresh = start(
        "encoder_unet",
        ON_B0,
        ("t1", "t2"),
        way="fresh",
        normalisation={"name": "volume_unit"},
    )
    kernels = [
        (params["encoder"]["stem_conv"], params["decoder_1"]["block"]["conv_1"])
        for params in (state.params, fresh.params, other.variables["params"])
    ]
    stems, joins = zip(*jax.tree.map(np.asarray, kernels), strict=True)
    np.testing.assert_array_equal(stems[0]["kernel"], stems[1]["kernel"])
    joined, own, theirs = (join["kernel"] for join in joins)
    # Four channels from below, then the image's.
    np.testing.assert_array_equal(joined[:, :, :4], theirs[:, :, :4])
    np.testing.assert_array_equal(joined[:, :, 4:], own[:, :, 4:])
    below = state.params["decoder_2"], other.variables["params"]["decoder_2"]
    jax.tree.map(np.testing.assert_array_equal, *below)
    assert "fresh: t1, t2" in caplog.text


def test_another_normalisation_is_refused_with_both(run_of):
    run_of("unet", UNET)
    with pytest.raises(
        ValueError, match="config.data.normalisation={'name': 'unit'}.*'volume_unit'"
    ):
        start("unet", UNET, normalisation={"name": "volume_unit"})


def test_a_normalisation_is_the_same_with_its_defaults_spelt_out():
    spelt = {"name": "volume_percentile", "low": 1, "high": 99.5, "together": False}
    assert transfer._complete({"name": "volume_percentile"}) == spelt


@pytest.mark.parametrize(
    "name, options",
    [
        ("vnet3d", {"widths": (4, 6), "repeats": (1,)}),
        ("encoder_unet", {**ON_B0, "gates": True}),
    ],
)
def test_a_net_that_reads_channels_otherwise_too_is_found_out(name, options):
    module = registry.find(models, name)
    model = module.Model(1, **options)
    size = (8, 8, 8) if name == "vnet3d" else SIZE
    variables = jax.jit(model.init)(
        jax.random.key(0, impl="rbg"), jnp.zeros((1, *size, 3))
    )
    read = channels.readers(model, (1, *size, 3))
    flat = flatten_dict(variables)
    turned = unflatten_dict(flat | channels.fit_all(flat, flat, read, 3, (2, 1, 0)))
    gap = transfer.disagreement(
        (model, turned, THEIRS[::-1]), (model, variables, THEIRS), size
    )
    assert gap > transfer.ROUNDING


def test_a_head_of_other_classes_is_new(run_of, caplog):
    caplog.set_level(logging.INFO)
    other = run_of("unet", UNET)
    state, _, fresh = start("unet", UNET, classes=("oedema", "core"))
    np.testing.assert_array_equal(
        state.params["output"]["kernel"], fresh.params["output"]["kernel"]
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        state.params["encoder"],
        other.variables["params"]["encoder"],
    )
    assert "new head output for oedema, core; its own was for tumour" in caplog.text


def test_a_head_that_is_kept_for_a_class_of_another_name_is_warned_of(run_of, caplog):
    run_of("unet", UNET)
    start("unet", UNET, classes=("oedema",))
    assert "its classes were tumour and are oedema now" in caplog.text


# Options that show in shapes, matter to training alone or are ours to set, each with what
# makes them differ. The first value is theirs.
FREE = [
    ("unet", {"widths": ((4, 6), (4, 8)), "outputs": (1, 2)}),
    (
        "unet",
        {"kernel_init": ("he_normal", "glorot_uniform"), "dropout": ((0.1,), (0.2,))},
    ),
    ("unet", {"momentum": (0.9, 0.99), "pooled_momentum": (0.8, 0.9)}),
    ("unet", {"joined_dropout": (0.1, 0.0), "remat": (True, False)}),
    ("unet", {"dtype": (jnp.bfloat16, jnp.float32), "axis_name": (None, "devices")}),
    ("unet_plus_plus", {"deep_supervision": (False, True)}),
    ("encoder_unet", {"stages": (2, 3)}),
    ("vgg16", {"hidden": ((8,), (6,)), "pool": ("flatten", "global")}),
    ("vgg16", {"head_init": ("he_normal", "he_uniform"), "dropout_before": (0.1, 0.2)}),
    ("cnn", {"convolution_dropout": (0.1, 0.2)}),
    pytest.param(
        "efficientnet_lite0", {"drop_connect": (0.1, 0.2)}, marks=pytest.mark.slow
    ),
    ("segnet3d", {"decoder_repeats": ((2,), (3,)), "repeats": ((2,), (3,))}),
]
MEANINGFUL = [
    ("unet", "activation", "relu", "gelu"),
    ("unet", "upsampling", "linear", "nearest"),
    ("unet", "norm", "instance", "group"),
    ("unet", "epsilon", 1e-3, 1e-5),
    ("vgg16", "preprocessing", "none", "torch"),
    # The same operations with other constants.
    ("efficientnet_lite0", "preprocessing", "imagenet", "torch"),
]


def differing(name, pairs):
    module = registry.find(models, name)
    theirs, ours = (
        module.Model(**{"outputs": 1, **module.small({}), **options})
        for options in ({k: v[place] for k, v in pairs.items()} for place in (0, 1))
    )
    space = (16, 16, 16) if name.endswith("3d") else (64, 64)
    return transfer.different(ours, theirs, (1, *space, 3))


@pytest.mark.parametrize("name, pairs", FREE)
def test_an_option_that_changes_no_meaning_is_free(name, pairs):
    assert not differing(name, pairs)


@pytest.mark.parametrize("name, option, theirs, ours", MEANINGFUL)
def test_an_option_that_changes_the_meaning_is_found(name, option, theirs, ours):
    assert differing(name, {option: (theirs, ours)}) == {option: (ours, theirs)}


@pytest.mark.parametrize(
    "name, theirs, ours",
    [
        ("unet", {"norm": "none"}, {"norm": "batch"}),
        ("unet", {"norm": "instance"}, {"norm": "batch"}),
        ("unet", {"norm": "batch"}, {"norm": "instance"}),
        ("unet", {"activation": "prelu"}, {"activation": "relu"}),
        ("unet", {"widths": (4, 6, 8)}, {"widths": (4, 6)}),
        ("encoder_unet", ON_B0, {**ON_B0, "gates": True}),
        ("attention_unet3d", {"gated": "skips"}, {"gated": "decoder"}),
        ("segnet3d", {"unpool": "indices"}, {"unpool": "nearest"}),
        ("resnet50", {"variant": "torchvision"}, {"variant": "keras"}),
    ],
)
def test_weights_of_other_shapes_are_refused_unless_a_heads(name, theirs, ours):
    module = registry.find(models, name)
    built = [
        module.Model(**{"outputs": 1, **module.small({}), **options})
        for options in (ours, theirs)
    ]
    space = (16, 16, 16) if name.endswith("3d") else SIZE
    shape = (1, *space, 3)
    own, found = (
        {path: np.zeros(size) for path, size in channels.shapes_of(one, shape).items()}
        for one in built
    )
    heads = set.union(*(transfer.head_modules(one, shape) for one in built))
    with pytest.raises(
        ValueError, match="holds another architecture: .* weights differ"
    ):
        transfer.unfilled(own, found, heads, "run", complete=True)
