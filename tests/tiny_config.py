"""An experiment of seconds, for tests that run main.py as a process."""

from configs import resunet_lgg
from tests import small


def get_config(variant: str = "phantom"):
    # A model's file would import jax, which main.py sets up once it has read a config.
    config = small.shrink_to(resunet_lgg.get_config(variant), {"widths": (4, 6)})
    # Two patients, so that an evaluation has a second batch to be stopped before.
    config.data.train, config.data.validation = "fold_0+fold_2+fold_3", "fold_1"
    config.evaluation.metric, config.evaluation.mode = "patient_dice", "max"
    return config
