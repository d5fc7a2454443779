"""An image and its target at the size that the network takes: the same wherever one is.

Training, evaluation and prediction all prepare their pixels here, on the host.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Num, UInt8


@dataclasses.dataclass(frozen=True)
class Fit:
    """What becomes of an example's image and mask before they go into a batch."""

    size: tuple[int, ...]  # of images; (): each keeps its own
    target: str  # "share" of each class at `size`, the "mask" as stored, or "": neither
    classes: tuple[int | Sequence[int], ...]  # label or labels of each

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        fitted = {"image": resize_image(image, self.size or image.shape[:-1])}
        if self.target == "mask":
            fitted["mask"] = mask
        elif self.target == "share":
            size = self.size or mask.shape[:-1]
            fitted["share"] = area_shares(mask, self.classes, size)
        return fitted


def resize_image(
    image: Num[np.ndarray, "*space c"], size: Sequence[int]
) -> Num[np.ndarray, "*size c"]:
    """Averages areas when it shrinks, interpolates linearly when it grows.

    A volume keeps its size: it is ValueError to ask for another.
    """
    space = image.shape[:-1]
    if space == tuple(size):
        return image
    if len(space) != 2:
        raise ValueError(
            f"A volume of {_sizes(space)} is not resized to config.data.size="
            f"{tuple(size)}; train on parts of it with config.data.patch, or store it at "
            "that size."
        )
    shrinks = space[0] * space[1] > size[0] * size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, tuple(size)[::-1], interpolation=method)
    return resized.reshape(*size, image.shape[-1])


def area_shares(
    mask: UInt8[np.ndarray, "*space 1"],
    classes: Iterable[int | Sequence[int]],
    size: Sequence[int],
) -> UInt8[np.ndarray, "*size k"]:
    """Of each pixel of `size`, the share that each class covers, in 255ths.

    A class is a label of the mask, or several.

    Unlike the label that covers most of a pixel, shares keep a tumour's area and, once the
    probabilities they teach are resized back, its outline.
    """
    shares = [
        resize_image(np.where(np.isin(mask, labels), 255, 0).astype(np.uint8), size)
        for labels in classes
    ]
    return np.concatenate(shares, axis=-1)


def _sizes(space: Sequence[int]) -> str:
    return "x".join(map(str, space))
