"""The references' recipes against numbers copied from the references by hand.

A number that is ours, not theirs, says so in a comment beside it.
"""

import importlib
import inspect
import pkgutil

import pytest

import configs
from brainseg_jax import losses, registry
from configs import base

KERAS_ADAM = ("keras_adam", 0.9, 0.999, 1e-7)  # name, b1, b2, eps
CROSS_ENTROPY = {"cross_entropy": {"weight": 1.0}}
DICE = {"dice": {"weight": 1.0, "smooth": 1.0}}
SYSTEM_000 = {
    "task": ("segmentation", False),  # softmax or not
    "splits": ("leaky_train", "leaky_validation", "leaky_test"),
    "drawn": (False, 0.0),  # tumour slices alone, their share
    "size": (256, 256),
    "normalisation": {"name": "unit"},
    "augment": {
        "fill": "edge",
        "flip_horizontal": 0.5,
        "flip_vertical": 0.5,
        "rotation": 0.1,
        "shift": 0.05,
        "scale": 0.05,
        "shear": 0.05,
    },
    "batch_size": 16,
    "epochs": 100,
    "losses": DICE | CROSS_ENTROPY,
    "optimizer": ("keras_adam", 0.9, 0.9, 1e-7),
    "rate": 1e-4,
    "plateau": (0.1, 5, 1e-4, 1e-11),  # factor, patience, min_delta, minimum
    "decay": None,  # factor, epochs between
    "watched": ("loss", "min"),
    "patience": 12,
    "weights": ("", (), ""),  # start, frozen, frozen up to
}
SYSTEM_001 = {
    "task": ("segmentation", True),
    # Ours: theirs are 75 % and 25 % of the cases, none to test.
    "splits": ("fold_0+fold_1+fold_2", "fold_3", "fold_4"),
    "drawn": (False, 0.0),
    "size": (128, 128, 128),
    # Theirs is of each axial slice by itself.
    "normalisation": {"name": "volume_unit", "low": 0, "high": 100},
    "augment": {},
    "batch_size": 1,
    "epochs": 20,
    "losses": {
        "dice": {"weight": 1.0, "smooth": 1e-5, "class_weights": (0.25,) * 4},
        # The same as theirs of weight 1, a mean over four classes.
        "focal": {"weight": 0.25, "alpha": 0.25, "gamma": 2.0},
    },
    "optimizer": KERAS_ADAM,
    "rate": 1e-4,
    "plateau": None,
    "decay": None,
    "watched": ("loss", "min"),  # ours: theirs kept the last epoch
    "patience": 0,
    "weights": ("", (), ""),
}
SYSTEM_002 = SYSTEM_000 | {
    "task": ("classification", False),
    # Theirs are 2,118, 907 and 904 slices, drawn anew for each net.
    "splits": ("leaky_train", "leaky_validation", "leaky_test"),
    "size": (224, 224),
    "augment": {},
    "epochs": 20,
    "losses": CROSS_ENTROPY,
    "optimizer": KERAS_ADAM,
    "rate": 0.95e-3,  # 1e-3 in Keras, decayed before epoch 0
    "plateau": (0.1, 1, 1e-4, 0.0),
    "decay": (0.95, 3),
    "watched": ("slice_accuracy", "max"),
    "patience": 2,
}
RESNET50_002 = SYSTEM_002 | {
    "task": ("classification", True),
    "size": (256, 256),
    "epochs": 100,
    "weights": ("imagenet", (), ""),
}
SYSTEM_004 = SYSTEM_000 | {
    # Theirs are divided by 12,728; ours by the largest value of the volume, or by 255.
    "normalisation": {"name": "unit"},
    "size": (128, 128),
    "augment": {},
    "batch_size": 32,
    "epochs": 50,
    "losses": CROSS_ENTROPY,
    "optimizer": KERAS_ADAM,
    "rate": 1e-3,
    "plateau": None,
    "watched": ("loss", "min"),
    "patience": 5,
}
# Its own data and shares; what is held out it never scored.
FIGSHARE_30 = {"splits": ("leaky_30_train", "leaky_30_validation", "leaky_30_test")}
FIGSHARE_20 = {"splits": ("leaky_20_train", "leaky_20_validation", "leaky_20_test")}
ADITYAJN105 = SYSTEM_004 | {
    "augment": {"fill": "edge", "flip_horizontal": 0.5},  # it moves nothing: no edge
    "epochs": 100,
    "losses": DICE | CROSS_ENTROPY,
    "plateau": (0.1, 4, 1e-4, 1e-4),
    "patience": 10,
}
CLASSIFIER_004 = SYSTEM_004 | {
    "task": ("classification", True),
    "size": (150, 150),
    "epochs": 12,
    "plateau": (0.3, 2, 0.001, 0.0),
    "watched": ("slice_accuracy", "max"),  # the best is kept, theirs is the last
    "patience": 0,
    "weights": ("imagenet", (), ""),
}
RECIPES = {
    **{
        f"{net}3d_brats:published": SYSTEM_001
        for net in ("unet", "attention_unet", "fcn", "segnet", "vnet")
    },
    "unet_lgg:published": SYSTEM_000,
    "encoder_unet_lgg:published": SYSTEM_000 | {"weights": ("imagenet", (), "")},
    "encoder_unet_lgg:gated": SYSTEM_000 | {"weights": ("imagenet", (), "")},
    "resunet_lgg:published": SYSTEM_000
    | {
        "drawn": (True, 0.0),
        "normalisation": {"name": "image_standard"},
        "augment": {},
        "epochs": 60,  # ours: theirs was 1, then weights of unknown origin
        "losses": {
            "focal_tversky": {
                "weight": 1.0,
                "alpha": 0.3,  # false alarms
                "beta": 0.7,  # misses
                "gamma": 0.75,
                "smooth": 1e-6,
            }
        },
        "optimizer": ("keras_adam", 0.9, 0.999, 0.1),
        "rate": 0.05,
        "plateau": None,
        "patience": 20,
    },
    "cnn_lgg:published": SYSTEM_002,
    "cnn_lgg:module": SYSTEM_002
    | {"task": ("classification", True), "size": (256, 256)},
    "vgg16_lgg:published": SYSTEM_002 | {"weights": ("imagenet", (), "")},
    "vgg16_lgg:frozen": SYSTEM_002
    | {"task": ("classification", True), "weights": ("imagenet", ("encoder",), "")},
    "resnet50_lgg:published": RESNET50_002,
    "resnet50_lgg:deployed": RESNET50_002
    # The layer before conv3_block1_1_conv, the first that trains.
    | {"weights": ("imagenet", (), "encoder/conv2_block3")},
    "resnet50_lgg:system_003": RESNET50_002
    | {
        "epochs": 100,  # ours: theirs was 1, then weights of unknown origin
        "rate": 1e-3,
        "plateau": None,
        "decay": None,
        "watched": ("loss", "min"),
        "patience": 20,
    },
    "unet_lgg:system_004": SYSTEM_004,
    "unet_lgg:dropout": SYSTEM_004,  # never trained: the other nets' recipe
    "attention_unet_lgg:published": SYSTEM_004,
    "unet_plus_plus_lgg:published": SYSTEM_004,
    "unet_lgg:adityajn105": ADITYAJN105,
    "unet_figshare:system_004": SYSTEM_004 | FIGSHARE_30,
    "unet_figshare:dropout": SYSTEM_004 | FIGSHARE_20,
    "attention_unet_figshare:published": SYSTEM_004 | FIGSHARE_20,
    "unet_plus_plus_figshare:published": SYSTEM_004 | FIGSHARE_20,
    "unet_figshare:adityajn105": ADITYAJN105 | FIGSHARE_20,
    "vgg16_lgg:system_004": CLASSIFIER_004,
    "efficientnet_b0_lgg:published": CLASSIFIER_004,
    "efficientnet_b0_folder:published": CLASSIFIER_004,
    "unet_lgg:buda": SYSTEM_000
    | {
        # Theirs are 100 patients and 10, none to test.
        "splits": ("fold_0+fold_1+fold_2", "fold_3", "fold_4"),
        "drawn": (False, 0.5),  # ours: theirs are drawn by the area of tumour
        "normalisation": {
            "name": "volume_percentile",
            "low": 10,
            "high": 99,
            "together": True,
        },
        "augment": {
            "fill": "empty",
            "flip_horizontal": 0.5,
            "rotation": 15.0,
            "scale": 0.05,
        },
        "losses": DICE,
        "optimizer": ("adam", 0.9, 0.999, 1e-8),
        "plateau": None,
        "watched": ("patient_dice", "max"),
        "patience": 0,
    },
}


def load(name):
    module, _, variant = name.partition(":")
    return importlib.import_module(f"configs.{module}").get_config(variant)


def recipe(config):
    """A config in the form of the table."""
    data, model, optimizer = config.data, config.model, config.optimizer
    schedule, evaluation = config.schedule, config.evaluation
    return {
        "task": (config.task.name, config.task.exclusive),
        "splits": (data.train, data.validation, data.test),
        "drawn": (data.only_tumour, data.tumour_share),
        "size": tuple(data.size),
        "normalisation": data.normalisation.to_dict(),
        "augment": changes(config.augment.to_dict()),
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "losses": {name: loss(name, term) for name, term in config.losses.items()},
        "optimizer": (optimizer.name, optimizer.b1, optimizer.b2, optimizer.eps),
        "rate": schedule.rate,
        "plateau": plateau(schedule),
        "decay": (schedule.decay, schedule.step_epochs) if schedule.decay < 1 else None,
        "watched": (evaluation.metric, evaluation.mode),
        "patience": evaluation.patience,
        "weights": (model.encoder_weights, model.frozen, model.frozen_up_to),
    }


def changes(augment):
    """The augmentations that are on; none at a probability of 0."""
    if augment.pop("probability") == 0:
        return {}
    return {name: size for name, size in augment.items() if size}


def plateau(schedule):
    if schedule.name == "constant":
        return None
    assert schedule.name == "plateau"
    return schedule.factor, schedule.patience, schedule.min_delta, schedule.minimum


def loss(name, term):
    """A loss's options, completed by the defaults of its signature."""
    signature = inspect.signature(registry.find(losses, name).loss).parameters
    options = {
        key: parameter.default
        for key, parameter in signature.items()
        if key not in ("logits", "target", "exclusive", "class_weights")
    }
    return options | term.to_dict()


@pytest.mark.parametrize("name", RECIPES)
def test_a_references_recipe_is_the_references(name):
    assert recipe(load(name)) == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_references_recipe_has_nothing_of_ours(name):
    config = load(name)
    assert config.optimizer.clip == 0 and config.optimizer.encoder_rate == 1
    assert config.optimizer.name != "adamw"  # the others know no weight decay
    assert config.schedule.warmup_steps == 0 and config.ema_decay == 0
    assert config.augment.probability in (0, 1)
    assert config.evaluation.mirror == () and config.evaluation.every_epochs == 1
    assert config.evaluation.threshold == 0.5


@pytest.mark.parametrize("name", RECIPES)
def test_a_references_recipe_names_its_model_and_losses_itself(name):
    module, _, variant = name.partition(":")
    config = base.get_config()
    with config.unlocked():
        config.model.name, config.losses = "", {}
        importlib.import_module(f"configs.{module}").VARIANTS[variant](config)
    assert config.model.name and config.losses


def test_every_recipe_on_a_leaky_split_is_in_the_table():
    found = {
        f"{module.name}:{variant}"
        for module in pkgutil.iter_modules(configs.__path__)
        if module.name not in ("base", "recipes")
        for variant in importlib.import_module(f"configs.{module.name}").VARIANTS
        if load(f"{module.name}:{variant}").data.train.startswith("leaky")
    }
    of_folds = {name for name in RECIPES if "brats" in name} | {"unet_lgg:buda"}
    assert found | of_folds == set(RECIPES)
