"""Our own recipes, not a reference's; each changes a config in place."""

from ml_collections import ConfigDict

from configs.recipes import pieces


def segmentation(config: ConfigDict) -> None:
    """Segments slices, on patient folds; half of the slices drawn show tumour."""
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    config.data.tumour_share = 0.5
    config.schedule.rate = 2e-3
    common(config)


def classification(config: ConfigDict) -> None:
    """Classifies slices, tumour or none, on patient folds. One sigmoid."""
    config.task.name = "classification"
    config.losses = {"cross_entropy": {"weight": 1.0}}
    config.data.size = (224, 224)
    config.evaluation.metric = "patient_balanced_accuracy"
    config.epochs = 50
    common(config)


def segmentation_and_classification(config: ConfigDict) -> None:
    """Segments slices and tells their class by a net with two heads, on patient folds."""
    segmentation(config)
    config.task.name = "segmentation_and_classification"
    config.label_losses = {"cross_entropy": {"weight": 1.0}}
    config.evaluation.metric = "dice_and_balanced_accuracy"


def volumes(config: ConfigDict) -> None:
    """Segments BraTS's volumes in parts: whole tumour, its core, what of it enhances.

    A sigmoid for each of the three, which contain each other. A third of the parts have
    tumour in their middle. With one or two of them at a time a net has to normalise by
    instance or group, not by batch.
    """
    segmentation(config)
    config.data.name = "brats2021/kaggle"
    config.data.normalisation = {"name": "brain_percentile"}
    config.data.tumour_share = 1 / 3
    config.data.cache = "host"  # parts are cut there
    pieces.parts(config, 128)
    config.compute_dtype = "bfloat16"
    config.batch_size = 2
    config.evaluation.batch_size = 1
    config.epochs = 300
    config.evaluation.every_epochs = 10
    config.schedule.rate = 1e-3
    config.augment.flip_depth = config.augment.flip_vertical = 0.5
    config.augment.shift = config.augment.shear = 0.0
    config.augment.low_resolution = 0.3
    config.evaluation.mirror = ()


def figshare(config: ConfigDict) -> None:
    """On the figshare slices, after a recipe: three kinds of tumour, one a patient."""
    config.data.name = "figshare_brain_tumor/figshare"
    # A patient's slices are of three planes, each a series with intensities of its own.
    config.data.normalisation = {"name": "image_standard"}
    config.data.tumour_share = 0.0  # all slices show tumour


def three_kinds(config: ConfigDict) -> None:
    """Classifies the figshare slices, by the mean probability of each patient's."""
    classification(config)
    figshare(config)
    config.task.exclusive = True
    config.evaluation.metric = "patient_mean_probability_balanced_accuracy"


def common(config: ConfigDict) -> None:
    """What our recipes have in common: averaged weights, augmentation, mirror images."""
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
    """Starts from ImageNet weights: images of 0 to 1, a lower rate for the encoder."""
    config.model.encoder_weights = "imagenet"
    config.data.normalisation = {"name": "volume_unit"}
    config.augment.noise = 0.01
    config.optimizer.encoder_rate = 0.25


def wide_phantom(config: ConfigDict) -> None:
    """After `pretrained`, on synthetic slices of 64x64 and from random weights.

    Shows that a wide net trains to its end in minutes on two cores, with nothing to
    download. So few slices hardly teach it anything.
    """
    pieces.figshare_phantom(config)
    scratch(config)
    config.data.size = (64, 64)
    config.epochs = 12
    config.evaluation.every_epochs = 4


def scratch(config: ConfigDict) -> None:
    """Random weights after `pretrained`, on images prepared alike, to compare the two."""
    config.model.encoder_weights = ""
    config.optimizer.encoder_rate = 1.0
