"""3D U-Net: a small one with dropout and without normalisation."""

from collections.abc import Mapping
from typing import Any

from brainseg_jax.models import unet
from brainseg_jax.models.parts import layers


class Model(unet.Model):
    """5,645,828 parameters at three channels in and four outputs (5,646,260 at four).

    After Çiçek et al. 2016 (arXiv 1606.06650): narrower, one level deeper, with dropout
    for their batch normalisation. `dropout[k]` is the rate inside level k, down and up.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    norm: str = "none"
    kernel_init: str = "he_uniform"
    dropout: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2, 0.3)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 4, 8, 8, 8)}


PUBLISHED = {
    "system 001": layers.Published(5_645_828, (128, 128, 128, 3), 4),
    "system 001, four channels": layers.Published(5_646_260, (128, 128, 128, 4), 4),
}
