"""Recipes of the reference systems; each changes a config in place.

They have the references' numbers on the LGG data set, and their docstrings say what is
different. In all of them here batches are full, and every held-out slice is scored,
by slice and by patient, after thresholding. The references scored masks over whole batches,
most of them soft (Buda et al. whole volumes, after thresholding), and some left out the
slices of an incomplete batch.
"""

from ml_collections import ConfigDict

from configs.recipes import pieces


def system_000(config: ConfigDict) -> None:
    """Its three nets' recipe. Rotation and shear are degrees: next to none.

    Its Dice sums over the batch; here it is computed per image. It zoomed height and width
    each by a factor of its own; here they share one.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-4)
    pieces.watch_loss(config, 12)
    config.data.normalisation = {"name": "unit"}
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    config.optimizer.b2 = 0.9
    pieces.keras_plateau(config, factor=0.1, patience=5, minimum=1e-11)
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
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    pieces.watch_loss(config, 20)
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
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    config.task.name = "classification"
    config.data.normalisation = {"name": "unit"}
    config.data.size = (224, 224)
    config.losses = {"cross_entropy": {"weight": 1.0}}
    config.epochs = 20
    pieces.keras_plateau(config, factor=0.1, patience=1)
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
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    pieces.watch_loss(config, 5)
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
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    pieces.watch_loss(config, 10)
    config.data.normalisation = {"name": "unit"}
    config.data.size = (128, 128)
    config.batch_size = 32
    config.augment.probability = 1.0
    config.augment.rotation = config.augment.shift = config.augment.scale = 0.0
    config.augment.contrast = config.augment.brightness = 0.0
    config.epochs = 100
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    pieces.keras_plateau(config, factor=0.1, patience=4, minimum=1e-4)


def buda(config: ConfigDict) -> None:
    """Buda et al. 2019, on patient folds as theirs.

    Left out: the crop to the brain, dropping each volume's first and last slice, and
    keeping the largest connected component alone. Their Dice sums over the batch; here it
    is computed per image. Half of the slices drawn show tumour; they drew a patient, then
    a slice by how much tumour it shows. Beyond the edge their images were 0, the mean of
    the volume; here they are as dark as their darkest pixel. They had 10 patients to
    validate on and none to test.
    """
    config.data.normalisation = {
        "name": "volume_percentile",
        "low": 10,
        "high": 99,
        "together": True,
    }
    config.losses = {"dice": {"weight": 1.0}}
    config.data.tumour_share = 0.5
    config.optimizer.name = "adam"
    config.optimizer.clip = 0.0
    config.schedule.name = "constant"
    config.schedule.rate = 1e-4
    config.augment.shift = config.augment.contrast = config.augment.brightness = 0.0
    config.augment.rotation = 15.0
    config.augment.scale = 0.05
    config.augment.fill = "empty"


def system_004_classifier(config: ConfigDict) -> None:
    """Its four-class classifier's recipe; the data were others, not divided by patient.

    Its images were of 0 to 255, blue first; here they are prepared as the weights were
    trained. It scored its last epoch; here it is the best.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    config.task.name = "classification"
    config.task.exclusive = True
    config.data.normalisation = {"name": "unit"}
    config.data.size = (150, 150)
    config.batch_size = 32
    config.epochs = 12
    config.losses = {"cross_entropy": {"weight": 1.0}}
    pieces.keras_plateau(config, factor=0.3, patience=2, min_delta=0.001)
    config.evaluation.metric = "slice_accuracy"
