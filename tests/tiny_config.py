"""An experiment of seconds, for tests that run main.py as a process."""

from configs import base, resunet_lgg


def get_config(variant: str = "phantom"):
    return base.shrink(resunet_lgg.get_config(variant))
