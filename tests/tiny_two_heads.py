"""A net with two heads on data of seconds, for tests of whole runs."""

from configs import two_headed_unet_figshare
from tests import small


def get_config(variant: str = "phantom"):
    config = small.shrink_to(
        two_headed_unet_figshare.get_config(variant), {"widths": (4, 6)}
    )
    config.evaluation.metric = "dice_and_balanced_accuracy"
    config.evaluation.mode = "max"
    return config
