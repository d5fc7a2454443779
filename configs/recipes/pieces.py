"""Pieces of recipes: splits, sizes, optimisers; each changes a config in place."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from configs import base

Recipe = Callable[[ConfigDict], None]


def build(name: str, variants: Mapping[str, Recipe], argument: str) -> ConfigDict:
    """The config of a variant of the experiment `name`.

    Raises:
        ValueError: if there is no such variant; it lists those there are.
    """
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


def cpu(config: ConfigDict) -> None:
    """Images of 128x128, for two CPU cores."""
    config.data.size = (128, 128)
    config.epochs = 64
    config.evaluation.every_epochs = 4


def parts(config: ConfigDict, size: int) -> None:
    """Trains on cubes of volumes, which are scored and predicted in windows as large."""
    config.data.size = config.data.patch = (size, size, size)
    config.evaluation.window = (size, size, size)


def volumes_cpu(config: ConfigDict) -> None:
    """Parts of 64x64x64 and a quarter of the widths, for two CPU cores and patience."""
    parts(config, 64)
    config.model.options.widths = tuple(
        max(8, width // 4) for width in config.model.options.widths
    )
    config.compute_dtype = "float32"  # bfloat16 is no faster there
    config.epochs = 20
    config.evaluation.every_epochs = 5


def volumes_phantom(config: ConfigDict) -> None:
    """Synthetic volumes, after `volumes_cpu`: minutes. Scores say nothing of real MRI."""
    parts(config, 32)
    config.data.name = "brats2021/phantom"
    config.data.tumour_share = 0.5
    config.schedule.rate = 3e-3
    config.schedule.warmup_steps = 20
    config.epochs = 150  # of six steps
    config.evaluation.every_epochs = 25


def phantom(config: ConfigDict) -> None:
    """Synthetic heads, minutes on two CPU cores. Scores say nothing of real MRI."""
    config.data.name = "lgg_mri/phantom"
    config.data.size = (128, 128)
    config.epochs = 28
    config.evaluation.every_epochs = 2
    # The validation fold has four patients, whose mean Dice turns on a single tumour; the
    # loss is a mean over all slices.
    config.evaluation.metric = "loss"
    config.evaluation.mode = "min"


def figshare_phantom(config: ConfigDict) -> None:
    """Synthetic figshare slices; the recipe's own metric, as all slices show tumour."""
    watched = config.evaluation.metric, config.evaluation.mode
    phantom(config)
    config.data.name = "figshare_brain_tumor/phantom"
    config.epochs = 20
    config.schedule.warmup_steps = 20  # of 135
    config.evaluation.metric, config.evaluation.mode = watched


def leaky(config: ConfigDict) -> None:
    """Slices of a patient in training, validation and test, as in system 000's split.

    Scores on such a split say nothing of new patients. Augmentation is off.
    """
    config.data.train = "leaky_train"
    config.data.validation = "leaky_validation"
    config.data.test = "leaky_test"
    config.augment.probability = 0.0


def leaky_figshare(config: ConfigDict, share: int) -> None:
    """On all figshare tumours as one class, `share` per cent of the slices held out.

    After the recipe of system 004 or its parent, whose data these are. Slices of a patient
    are on both sides of the split, which is stratified by kind of tumour as theirs.
    """
    config.data.name = "figshare_brain_tumor/figshare"
    config.task.foreground = "tumour"
    config.data.train = f"leaky_{share}_train"
    config.data.validation = f"leaky_{share}_validation"
    config.data.test = f"leaky_{share}_test"


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
    """Keras's ReduceLROnPlateau and its default values."""
    config.schedule.name = "plateau"
    config.schedule.factor = factor
    config.schedule.patience = patience
    config.schedule.min_delta = min_delta
    config.schedule.minimum = minimum


def watch_loss(config: ConfigDict, patience: int) -> None:
    """The best epoch is that of the least validation loss; early stopping goes by it."""
    config.evaluation.metric = "loss"
    config.evaluation.mode = "min"
    config.evaluation.patience = patience
