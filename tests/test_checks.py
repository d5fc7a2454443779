"""Settings that cannot work are refused before a run starts."""

import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.models import resunet
from brainseg_jax.runs import (
    checks,
    data_checks,
    experiment,
    range_checks,
    shape_checks,
)
from configs import base


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("evaluation.mode", "maximise", "max, min"),
        ("evaluation.empty", "skip", "one, zero, nan"),
        ("evaluation.mirror", ("left",), "vertical, horizontal"),
        ("evaluation.every_epochs", 0, "1 or more"),
        ("evaluation.threshold", 5.0, "between 0 and 1"),
        ("evaluation.metric", "loss", "mode=min"),
        ("batch_size", 0, "1 or more"),
        ("epochs", 0, "1 or more"),
        ("data.tumour_share", 50.0, "between 0 and 1"),
        ("data.cache", "disk", "device, host, none"),
        ("compute_dtype", "bf16", "float32, bfloat16"),
        ("matmul_precision", "tf32", "default, high, highest"),
        ("augment.scale", 1.0, r"augment\.scale is 1\.0; .* 0 or more and below 1"),
        ("augment.scale", -0.1, "0 or more"),
        ("augment.flip_vertical", 2.0, "at most 1"),
        ("augment.rotation", float("nan"), "at most 180"),
        ("augment.shear", 90.0, "below 90"),
        ("augment.noise", float("inf"), "below inf"),
        ("optimizer.clip", -1.0, "0 or more"),
        ("optimizer.b1", 2.0, "0 or more and below 1"),
        ("optimizer.eps", -1.0, "above 0"),
        ("schedule.final", -2.0, "between 0 and 1"),
        ("losses", {"dice": {"weight": -1.0}}, r"losses\.dice\.weight is -1\.0"),
        ("losses", {"dice": {"weight": float("nan")}}, r"losses\.dice\.weight is nan"),
        ("seed", -1, "0 or more"),
        ("checkpoint.every_steps", -5, "0 or more"),
        ("optimizer.name", "sgdd", "adam, adamw"),
        ("schedule.name", "linear", "constant, cosine, step, plateau"),
        ("init_channels", "foo", "match, mean, fresh"),
        (
            "data.normalisation",
            {"name": "volume_percentile", "high": 150},
            "at most 100",
        ),
        ("data.normalisation", {"name": "volume_unit", "low": 99.9}, "below high"),
        ("schedule.rate", 0.0, "above 0"),
        ("schedule.decay", 0.0, "above 0 and at most 1"),
        ("schedule.decay", 1.5, "above 0 and at most 1"),
        ("schedule.name", "linear", "constant, cosine"),
        ("optimizer.name", "sgd", "adam, adamw"),
        ("data.normalisation.name", "zscore", "unit, image_standard"),
        ("data.neighbours", -1, "0 or more"),
        ("data.size", (0, 64), "1 or more"),
        ("data.patch", (32,), "has 2 numbers of 1 or more"),
        ("data.patch", (32, 0), "has 2 numbers of 1 or more"),
        ("augment.flip_depth", 0.5, "images of 2 axes do not have"),
        ("data.size", (64, 64, 72, 72), "has 4 numbers.*resunet takes images of 2"),
        ("model.name", "vnet3d", "has 2 numbers.*vnet3d takes images of 3 dimensions"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(key, value, said):
    config = base.get_config()
    with config.unlocked():
        config.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=said):
        checks.check_settings(config)


def test_a_decay_of_another_schedule_is_refused():
    config = base.get_config()
    config.schedule.decay = 0.9
    with pytest.raises(ValueError, match="which is of config.schedule.name=plateau"):
        checks.check_settings(config)


def test_neighbours_are_of_slices_with_all_their_channels():
    config = base.get_config()
    config.data.neighbours = 1
    checks.check_settings(config)
    config.augment.channel_dropout = 0.2
    with pytest.raises(ValueError, match="would drop a channel of one slice"):
        checks.check_settings(config)
    config.augment.channel_dropout, config.data.size = 0.0, (32, 32, 32)
    with pytest.raises(ValueError, match="has 3 numbers: a model of volumes"):
        shape_checks.check_neighbours(config)


@pytest.mark.parametrize("published", [None, {}])
def test_a_model_without_published_forms_takes_any_size(monkeypatch, published):
    if published is None:
        monkeypatch.delattr(resunet, "PUBLISHED")
    else:
        monkeypatch.setattr(resunet, "PUBLISHED", published)
    checks.check_settings(base.get_config())


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"schedule.cycle_epochs": 30}, "config.epochs=100 are not a whole number"),
        ({"schedule.cycle_epochs": -1}, "schedule.cycle_epochs is -1"),
        (
            {"schedule.cycle_epochs": 25, "evaluation.every_epochs": 4},
            "25 is no multiple of config.evaluation.every_epochs=4",
        ),
        (
            {"schedule.cycle_epochs": 25, "schedule.name": "step"},
            "of config.schedule.name=cosine, not of step",
        ),
    ],
)
def test_cycles_that_do_not_fit_are_refused(changes, said):
    config = base.get_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=said):
        checks.check_settings(config)


def test_every_size_of_augmentation_is_bounded():
    numbers = {
        name for name, value in base.get_config().augment.items() if value != "edge"
    }
    assert numbers - {"probability"} == range_checks.LARGEST.keys()


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"losses": {"dice": {"weight": 1.0, "smoth": 1.0}}},
            r"losses\.dice\.smoth .*: class_weights, smooth\. Did you mean 'smooth'",
        ),
        (
            {"losses": {"dice": {"weight": 1.0, "exclusive": True}}},
            r"losses\.dice\.exclusive is no option",
        ),
        (
            {"data": {"normalisation": {"name": "volume_unit", "hihg": 99.0}}},
            r"data\.normalisation\.hihg .*: low, high\. Did you mean 'high'",
        ),
        (
            {"data": {"normalisation": {"name": "unit", "low": 1.0}}},
            r"data\.normalisation\.low is no option of unit; there are: none\.",
        ),
    ],
)
def test_an_unknown_option_is_refused_with_what_there_is(changes, said):
    config = base.get_config()
    with config.unlocked():
        for key, value in changes.items():
            if key == "losses":
                config.losses = value
            else:
                config[key].update(value)
    with pytest.raises(ValueError, match=said):
        checks.check_settings(config)


def test_a_loss_without_weight_is_refused():
    config = base.get_config()
    with config.unlocked():
        config.losses = {"dice": {"smooth": 1.0}}
    with pytest.raises(ValueError, match=r"losses\.dice has no weight"):
        checks.check_settings(config)


def test_an_unknown_loss_is_refused():
    config = base.get_config()
    with config.unlocked():
        config.losses = {"dise": {"weight": 1.0}}
    with pytest.raises(ValueError, match="Did you mean 'dice'"):
        checks.check_settings(config)


def two_heads(**label_losses):
    config = base.get_config()
    with config.unlocked():
        config.task.name = "segmentation_and_classification"
        config.label_losses = label_losses
    return config


def test_the_losses_of_labels_are_checked_as_those_of_masks():
    checks.check_settings(two_heads(cross_entropy={"weight": 0.5}))
    with pytest.raises(ValueError, match=r"config\.label_losses\.focal has no weight"):
        checks.check_settings(two_heads(focal={}))
    with pytest.raises(ValueError, match="Did you mean 'cross_entropy'"):
        checks.check_settings(two_heads(cross_entrop={"weight": 1.0}))


def test_a_head_of_labels_has_losses_and_a_net_without_it_has_none():
    with pytest.raises(ValueError, match="config.label_losses is empty"):
        checks.check_settings(two_heads())
    config = two_heads(focal={"weight": 1.0})
    config.task.name = "segmentation"
    with pytest.raises(ValueError, match="has focal, but .*=segmentation has one head"):
        checks.check_settings(config)


def test_the_defaults_are_fine():
    checks.check_settings(base.get_config())


def test_a_drop_may_not_raise_the_rate():
    config = base.get_config()
    config.schedule.name, config.schedule.rate = "plateau", 5e-5
    config.schedule.minimum = 1e-4
    with pytest.raises(
        ValueError, match="minimum is 0.0001, above config.schedule.rate"
    ):
        checks.check_settings(config)


def test_a_classifier_is_not_trained_on_parts_of_images():
    config = base.get_config()
    config.task.name, config.data.patch = "classification", (32, 32)
    with pytest.raises(ValueError, match="classification is about whole images"):
        checks.check_settings(config)


@pytest.mark.parametrize(
    "name, metric",
    [
        ("segmentation", "patient_dice_edema"),
        ("classification", "slice_f1_tumour"),
        ("segmentation_and_classification", "mask_patient_dice_edema"),
        ("segmentation_and_classification", "label_slice_f1_tumour"),
        ("segmentation_and_classification", "dice_and_balanced_accuracy"),
    ],
)
def test_a_score_of_one_class_can_be_what_a_run_goes_by(name, metric):
    config = base.get_config()
    config.task.name, config.evaluation.metric = name, metric
    info = data_info.described(
        "a/b",
        channels=["t1"],
        classes={"core": 1, "edema": 2},
        labels=["no tumour", "tumour"],
    )
    task = experiment.task_of(config, info)
    data_checks.check_metric(config, task, info)
    config.evaluation.metric = "accuracy"
    with pytest.raises(ValueError, match=f"'accuracy'; it can be loss, .*{metric}"):
        data_checks.check_metric(config, task, info)
