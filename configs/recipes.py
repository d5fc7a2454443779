"""Recipes that several experiments share; each changes a config in place.

Those of the references have their numbers on the LGG data set, and their docstrings say
what is different. In all of them here batches are full, and every held-out slice is scored,
by slice and by patient, after thresholding. The references scored masks over whole batches,
most of them soft (Buda et al. whole volumes, after thresholding), and some left out the
slices of an incomplete batch.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from configs import base

Recipe = Callable[[ConfigDict], None]


def build(name: str, variants: Mapping[str, Recipe], argument: str) -> ConfigDict:
    """The config of a variant; `name` is the experiment's, for the error's sake."""
    if argument not in variants:
        raise ValueError(
            f"No variant {argument!r} of {name}; there are "
            f"{', '.join(filter(None, variants))}, or none for our recipe."
        )
    config = base.get_config()
    with config.unlocked():
        variants[argument](config)
    return config


def chain(*recipes: Recipe) -> Recipe:
    """One recipe after another, as one."""

    def chained(config: ConfigDict) -> None:
        for recipe in recipes:
            recipe(config)

    return chained


def segmentation(config: ConfigDict) -> None:
    """Ours, for slices of MRI on patient folds."""
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    config.data.tumour_share = 0.5
    config.schedule.rate = 2e-3
    ours(config)


def classification(config: ConfigDict) -> None:
    """Ours, for slices with tumour or without, on patient folds. One sigmoid."""
    config.task.name = "classification"
    config.losses = {"cross_entropy": {"weight": 1.0}}
    config.data.size = (224, 224)
    config.evaluation.metric = "patient_balanced_accuracy"
    config.epochs = 50
    ours(config)


def ours(config: ConfigDict) -> None:
    """What our recipes have in common: weights averaged, slices moved and changed."""
    config.schedule.warmup_steps = 100
    config.optimizer.weight_decay = 0.01
    config.ema_decay = 0.999
    config.augment.rotation = 20.0
    config.augment.shift = 0.06
    config.augment.scale = 0.15
    config.augment.shear = 5.0
    config.augment.gamma = 0.15
    config.augment.contrast = 0.2
    config.augment.brightness = 0.2
    config.augment.noise = 0.05
    config.evaluation.mirror = ("horizontal",)


def pretrained(config: ConfigDict) -> None:
    """From ImageNet weights, which need images of 0 to 1; the encoder learns slower."""
    config.model.encoder_weights = "imagenet"
    config.data.normalisation = {"name": "volume_unit"}
    config.augment.noise = 0.01
    config.optimizer.encoder_rate = 0.25


def scratch(config: ConfigDict) -> None:
    """Takes weights and rate of `pretrained` back; images stay as they were for it."""
    config.model.encoder_weights = ""
    config.optimizer.encoder_rate = 1.0


def cpu(config: ConfigDict) -> None:
    """Images of 128x128 for two cores."""
    config.data.size = (128, 128)
    config.epochs = 64
    config.evaluation.every_epochs = 4


def phantom(config: ConfigDict) -> None:
    """Synthetic heads, minutes on two cores. Says nothing of real MRI."""
    config.data.name = "lgg_mri/phantom"
    config.data.size = (128, 128)
    config.epochs = 28
    config.evaluation.every_epochs = 2


def leaky(config: ConfigDict) -> None:
    """System 000's split, slices of a patient on both sides, without augmentation.

    The scores of such a split say nothing of new patients.
    """
    config.data.train = "leaky_train"
    config.data.validation = "leaky_validation"
    config.data.test = "leaky_test"
    config.augment.probability = 0.0


def keras_adam(config: ConfigDict, rate: float) -> None:
    """Keras's Adam as it comes, at a constant rate."""
    config.optimizer.name = "keras_adam"
    config.optimizer.eps = 1e-7
    config.optimizer.clip = 0.0
    config.schedule.name = "constant"
    config.schedule.rate = rate


def keras_plateau(
    config: ConfigDict,
    *,
    factor: float,
    patience: int,
    min_delta: float = 1e-4,
    minimum: float = 0.0,
) -> None:
    """Keras's ReduceLROnPlateau, with its defaults where nothing is said."""
    config.schedule.name = "plateau"
    config.schedule.factor = factor
    config.schedule.patience = patience
    config.schedule.min_delta = min_delta
    config.schedule.minimum = minimum


def watch_loss(config: ConfigDict, patience: int) -> None:
    """The best epoch by the validation loss; ends after `patience` without a better one."""
    config.evaluation.metric = "loss"
    config.evaluation.mode = "min"
    config.evaluation.patience = patience


def system_000(config: ConfigDict) -> None:
    """Its three nets' recipe. Rotation and shear are degrees: next to none.

    Its Dice sums over the batch; here it is computed per image. It zoomed height and width
    each by a factor of its own; here they share one.
    """
    leaky(config)
    keras_adam(config, 1e-4)
    watch_loss(config, 12)
    config.data.normalisation = {"name": "unit"}
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    config.optimizer.b2 = 0.9
    keras_plateau(config, factor=0.1, patience=5, minimum=1e-11)
    config.augment.probability = 1.0
    config.augment.flip_vertical = 0.5
    config.augment.rotation = 0.1
    config.augment.shear = 0.05
    config.augment.contrast = config.augment.brightness = 0.0
    config.augment.scale = 0.05


def system_003(config: ConfigDict) -> None:
    """Its classifier's recipe, on system 000's leaky split.

    It went on to weights of unknown origin after one epoch of its own; here it trains until
    the validation loss has not fallen for 20 epochs, as that one epoch would have, or
    for 100 epochs. It saw images of 0 to 1; here they are prepared as the weights were
    trained.
    """
    leaky(config)
    keras_adam(config, 1e-3)
    watch_loss(config, 20)
    config.task.name = "classification"
    config.task.exclusive = True
    config.data.normalisation = {"name": "unit"}
    config.losses = {"cross_entropy": {"weight": 1.0}}


def system_002(config: ConfigDict) -> None:
    """Its classifiers' recipe, on system 000's leaky split.

    The rate and the end of training went by the accuracy on training data in two of its
    nets, the CNN and model 2 of VGG16, which also kept their last epoch; here all go by
    validation data and keep the best. An epoch is all slices; ResNet50's was a quarter of
    them, that of model 1 of VGG16 four batches. Each net had a split of its own. Scores of
    one sigmoid are at a threshold of 0.5, the published ones at 0.4. Its pretrained nets
    saw images of 0 to 1; here they are prepared as the weights were trained.
    """
    leaky(config)
    keras_adam(config, 1e-3)
    config.task.name = "classification"
    config.data.normalisation = {"name": "unit"}
    config.data.size = (224, 224)
    config.losses = {"cross_entropy": {"weight": 1.0}}
    config.epochs = 20
    keras_plateau(config, factor=0.1, patience=1)
    # The rate also falls by 5 % every third epoch, of which the first is one.
    config.schedule.rate *= 0.95
    config.schedule.step_epochs = 3
    config.schedule.decay = 0.95
    config.evaluation.metric = "slice_accuracy"
    config.evaluation.patience = 2


def system_004(config: ConfigDict) -> None:
    """Its three nets' recipe, which was for other data (Cheng's, not divided by patient).

    Those have one channel, which it divided by 12,728; here there are three, divided by
    255. Its masks grew when they were made smaller, and its slices came in the same order
    every epoch; here neither is so. It kept the last epoch's weights; here the best epoch's
    are kept and scored.
    """
    leaky(config)
    keras_adam(config, 1e-3)
    watch_loss(config, 5)
    config.data.normalisation = {"name": "unit"}
    config.data.size = (128, 128)
    config.batch_size = 32
    config.epochs = 50
    config.losses = {"cross_entropy": {"weight": 1.0}}


def adityajn105(config: ConfigDict) -> None:
    """The parent of system 004, which had Cheng's data; the rate drops once, to 1e-4.

    Those have one channel, which it divided by 12,728; here there are three, divided by
    255. Its Dice sums over the batch; here it is computed per image. Mirror images are
    drawn anew each epoch; there they were added once, so that an epoch was twice as long.
    Its masks grew when they were made smaller; here they do not.
    """
    leaky(config)
    keras_adam(config, 1e-3)
    watch_loss(config, 10)
    config.data.normalisation = {"name": "unit"}
    config.data.size = (128, 128)
    config.batch_size = 32
    config.augment.probability = 1.0
    config.augment.rotation = config.augment.shift = config.augment.scale = 0.0
    config.augment.contrast = config.augment.brightness = 0.0
    config.epochs = 100
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    keras_plateau(config, factor=0.1, patience=4, minimum=1e-4)


def buda(config: ConfigDict) -> None:
    """Buda et al. 2019, on patient folds as theirs.

    Left out: the crop to the brain, dropping each volume's first and last slice, and
    keeping the largest connected component alone. Their Dice sums over the batch; here it
    is computed per image. Half of the slices drawn show tumour; they drew a patient, then
    a slice by how much tumour it shows. They had 10 patients to validate on and none to
    test.
    """
    config.data.normalisation = {"name": "volume_percentile", "low": 10, "high": 99}
    config.losses = {"dice": {"weight": 1.0}}
    config.data.tumour_share = 0.5
    config.optimizer.name = "adam"
    config.optimizer.clip = 0.0
    config.schedule.name = "constant"
    config.schedule.rate = 1e-4
    config.augment.shift = config.augment.contrast = config.augment.brightness = 0.0
    config.augment.rotation = 15.0
    config.augment.scale = 0.05


def system_004_classifier(config: ConfigDict) -> None:
    """Its four-class classifier's recipe; the data were others, not divided by patient.

    Its images were of 0 to 255, blue first; here they are prepared as the weights were
    trained. It scored its last epoch; here it is the best.
    """
    leaky(config)
    keras_adam(config, 1e-3)
    config.task.name = "classification"
    config.task.exclusive = True
    config.data.normalisation = {"name": "unit"}
    config.data.size = (150, 150)
    config.batch_size = 32
    config.epochs = 12
    config.losses = {"cross_entropy": {"weight": 1.0}}
    keras_plateau(config, factor=0.3, patience=2, min_delta=0.001)
    config.evaluation.metric = "slice_accuracy"
