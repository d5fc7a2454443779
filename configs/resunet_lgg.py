"""ResUNet (reference systems 002 and 003) on the LGG data set.

    python main.py --config=configs/resunet_lgg.py             our recipe, patient folds
    python main.py --config=configs/resunet_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/resunet_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/resunet_lgg.py:published   that of systems 002, 003

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("resunet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.model.name = "resunet"


def _published(config: ConfigDict) -> None:
    """The ResUNet of systems 002 and 003, on slices with tumour alone.

    Different from theirs:

    - Split: they drew 1,167, 103 and 103 slices with tumour, without a seed. Here the
      slices with tumour of system 000's leaky splits are used; slices of a patient are on
      both sides either way.
    - Length: system 003 trained for one epoch and went on to ready-made weights of unknown
      origin, 002's run failed. Here it is 60 epochs, or fewer by their patience of 20.
    - Loss: theirs sums over the batch; here it is computed per image. They thresholded
      masks at their own mean; here they are 0 or 1 as stored.
    - Batches: they left out an epoch's incomplete batch; here it is carried into the next.
    - Decoder: the text of 002 says 2x2 upsampling convolutions, the code of both repeats
      pixels, as here.

    Scores: as the head of configs/recipes/references.py says.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 0.05)
    pieces.watch_loss(config, 20)
    config.model.name = "resunet"
    config.losses = {"focal_tversky": {"weight": 1.0}}
    config.optimizer.eps = 0.1
    config.data.only_tumour = True
    config.data.normalisation = {"name": "image_standard"}
    config.epochs = 60


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, pieces.phantom),
    "published": _published,
}
