"""A classification of seconds, for tests of whole runs."""

from configs import cnn_lgg
from tests import small


def get_config(variant: str = "phantom"):
    config = small.shrink(cnn_lgg.get_config(variant))
    # Two patients, so that an evaluation has a second batch to be stopped before.
    config.data.train, config.data.validation = "fold_0+fold_2+fold_3", "fold_1"
    return config
