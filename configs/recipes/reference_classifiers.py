"""Recipes of the reference systems for classes; each changes a config in place.

What is different in all of them: references.py.
"""

from ml_collections import ConfigDict

from configs.recipes import pieces


def system_002(config: ConfigDict) -> None:
    """Its classifiers' recipe: 20 epochs, but 100 for ResNet50. Its text says 100 for all.

    Different from its own:

    - Split: it held out 23 % of the slices, and 30 % of the rest for validation, anew and
      unseeded for each net.
    - Validation: for the CNN and model 2 of VGG16 the rate and the end of training went by
      the accuracy on training data, and the last epoch was kept; here all go by validation
      data and keep the best epoch.
    - Length: an epoch is all slices; ResNet50's was a quarter of them, that of model 1 of
      VGG16 four batches.
    - Threshold: one sigmoid is scored at 0.5, there at 0.4.
    - Images: they were divided by 255 for the pretrained nets too; here they are then
      prepared as the ImageNet weights expect. They were resized by nearest pixels.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    config.task.name = "classification"
    config.data.normalisation = {"name": "unit"}
    config.data.size = (224, 224)
    config.losses = {"cross_entropy": {"weight": 1.0}}
    config.epochs = 20
    pieces.keras_plateau(config, factor=0.1, patience=1)
    # The rate also falls by 5 % every third epoch, the first one included.
    config.schedule.rate *= 0.95
    config.schedule.step_epochs = 3
    config.schedule.decay = 0.95
    config.evaluation.metric = "slice_accuracy"
    config.evaluation.patience = 2


def system_003(config: ConfigDict) -> None:
    """Its classifier's recipe.

    Different from its own:

    - Split: it held out 15 % of the slices, and 15 % of the rest for validation, unseeded.
    - Length: it went on to ready-made weights of unknown origin after one epoch of its own;
      here it trains until the validation loss has not fallen for 20 epochs, its patience,
      or for 100 epochs.
    - Images: it divided them by 255; here they are then prepared as the ImageNet weights
      expect.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 1e-3)
    pieces.watch_loss(config, 20)
    config.task.name = "classification"
    config.task.exclusive = True
    config.data.normalisation = {"name": "unit"}
    config.losses = {"cross_entropy": {"weight": 1.0}}


def system_004_classifier(config: ConfigDict) -> None:
    """Its four-class classifier's recipe; its own data: configs/efficientnet_b0_folder.py.

    Different from its own:

    - Split: the publisher's training and test folders were pooled, and 10 % of their slices
      held out, then 10 % of the rest for validation.
    - Images: they were of 0 to 255, blue first; here they are prepared as the ImageNet
      weights expect.
    - Best epoch: it scored its last epoch; here the best.
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
