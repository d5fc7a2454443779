"""A classification of seconds, for tests of whole runs."""

from configs import cnn_lgg
from tests import small


def get_config(variant: str = "phantom"):
    # A model's file would import jax, which main.py sets up once it has read a config.
    options = {"widths": (4, 6), "hidden": (8,)}
    config = small.shrink_to(cnn_lgg.get_config(variant), options)
    # Two patients, so that an evaluation has a second batch to be stopped before.
    config.data.train, config.data.validation = "fold_0+fold_2+fold_3", "fold_1"
    config.evaluation.metric, config.evaluation.mode = (
        "patient_balanced_accuracy",
        "max",
    )
    return config
