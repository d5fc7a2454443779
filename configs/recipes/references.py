"""Recipes of the reference systems for masks; each changes a config in place.

They have the references' numbers, on the LGG data set if nothing else is said, and their
docstrings say what is different. docs/reference_systems.md says who the references are. In
all recipes here and in reference_classifiers.py:

- Splits: where a reference divided slices, the recipe runs on the slice-level splits of
  system 000 (90 %, 5 %, 5 %), `leaky_train` and so on, whatever the reference's shares.
- Sizes: masks that are made smaller become area shares, and images are averaged over areas.
  The validation loss is taken at the mask's stored size; theirs at the network's input.
- Scores: of every held-out slice, by slice and by patient, thresholded at 0.5. The
  references scored masks over whole batches, most of them soft (Buda et al. whole volumes,
  thresholded), and some left out the slices of an incomplete batch.
- Batches: always full; an epoch's remainder opens the next epoch.
- Losses: per image, averaged; overlap losses of the references sum over the batch.
"""

from ml_collections import ConfigDict

from configs.recipes import pieces


def system_000(config: ConfigDict) -> None:
    """Its three nets' recipe. Rotation and shear are degrees: next to none.

    Different from its own: height and width were zoomed by a factor each; here they share
    one. The layers of two of the nets are reconstructions.
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


def system_001(config: ConfigDict) -> None:
    """Its five 3D nets' recipe, on BraTS 2021: labels by a softmax, three sequences.

    Different from its own:

    - Split: 75 % and 25 % of the cases, none to test; here folds of whole patients.
    - Cases: it left out those of which less than 1 % was tumour; here all are kept.
    - Parts: each case was cropped once to 128x128x128 by a window that is not published,
      through tumour and brain in its figures; here a part of that size is cut anew each
      time, anywhere, and whole volumes are scored in windows.
    - Images: each axial slice of each sequence was scaled to 0 to 1 by itself, with the
      background; here each volume as a whole.
    - Order: its cases came in the same order every epoch; here each epoch is shuffled.
    - Loss: its class weights are 0.25 each and were not divided by their sum, so that its
      Dice loss never fell below 0.75 and counted a quarter beside the focal term. Here
      they are divided. Both are summed over a batch there, of one case as here.
    - Length: 20 epochs as in its code; its histories have 15.
    - Best epoch: it kept the last; here the one of the least validation loss.
    - Scores: its IoU is a mean over four classes, background included; here the regions
      WT, TC and ET are scored, after the most probable label.
    """
    pieces.keras_adam(config, 1e-4)
    pieces.watch_loss(config, 0)
    config.task.exclusive = True
    config.task.targets = "labels"
    config.data.name = "brats2021/kaggle"
    config.data.channels = ("flair", "t1ce", "t2")
    config.data.normalisation = {"name": "volume_unit", "low": 0, "high": 100}
    config.data.cache = "host"
    pieces.parts(config, 128)
    config.augment.probability = 0.0
    config.augment.rotation = config.augment.shift = config.augment.scale = 0.0
    config.augment.flip_horizontal = 0.0
    config.augment.contrast = config.augment.brightness = 0.0
    config.batch_size = 1
    config.evaluation.batch_size = 1
    config.epochs = 20
    config.losses = {
        "dice": {"weight": 1.0, "smooth": 1e-5, "class_weights": (0.25,) * 4},
        # A quarter, as its focal term is a mean over four classes.
        "focal": {"weight": 0.25, "alpha": 0.25},
    }


def system_004(config: ConfigDict) -> None:
    """The recipe of its three nets, as in its code; on its own data in *_figshare.py.

    Its text says otherwise, since it is that of its parent: BCE + Dice, a rate falling from
    1e-3 to 1e-4, 40 to 60 epochs, flips, transposed convolutions, and a split of 70/30. Its
    code, and this recipe, has BCE alone, a constant rate of 1e-3, at most 50 epochs, no
    augmentation and bilinear upsampling.

    Different from its code:

    - Data: Cheng's of one channel, divided by 12,728; here by the largest value of the
      volume, or LGG's three channels by 255.
    - Split: 30 % (U-Net) or 20 % of the slices held out and never scored, unseeded, and
      10 % of the rest for validation.
    - Masks: every pixel that interpolation left above 0 was tumour, so that they grew when
      made smaller; here they do not.
    - Order: its slices came in the same order every epoch; here each epoch is shuffled.
    - Best epoch: it kept the last epoch's weights; here the best epoch's are kept.
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
    """The parent of system 004; the rate drops once. Its data: configs/unet_figshare.py.

    Different from its own:

    - Data: Cheng's of one channel, divided by 12,728; here by the largest value of the
      volume, or LGG's three channels by 255.
    - Split: 20 % of the slices held out, unseeded.
    - Masks: every pixel that interpolation left above 0 was tumour, so that they grew when
      made smaller; here they do not.
    - Mirror images: added once, so that an epoch was twice as long; here half of the slices
      are mirrored, drawn anew each epoch.
    - Threshold: it drew its predictions at 0.2; here 0.5.
    - Length: 100 epochs as in its code; its log has 50.
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
