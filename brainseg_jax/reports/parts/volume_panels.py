"""The best, median and worst volume, each by three planes through where most is marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from brainseg_jax.data import scans, sources
from brainseg_jax.reports.parts import example_panels, patient_panels
from brainseg_jax.reports.parts.panels import Panel, draw_panels

SIDE = 240  # pixels of the longer side of a plane
COLUMNS = ("truth", "prediction")
PREDICTION = (0, 255, 0)  # of a lone class; its truth is red


def three_planes(
    predict: patient_panels.Predict,
    source: sources.Source,
    dice: Mapping[str, float],
    path: str | Path,
    *,
    title: str,
    note: str = "",
) -> Path:
    """Each plane twice, with the true mask and with the predicted one.

    `dice` is of every volume, by its key: a patient may have several. Colours are those of
    mask_panels.five_panels, whose legend names them.
    """
    ranks: dict[str, list[str]] = {}  # of few volumes one may be best and worst
    for rank, key in patient_panels.picks(dice).items():
        ranks.setdefault(key, []).append(rank)
    panels = []
    for key, named in ranks.items():
        chosen = list(source.keys).index(key)
        image, truth = source.read_stored(chosen)
        spacing = source.spacings[chosen] if len(source.spacings) else (1, 1, 1)
        known = spacing if np.isfinite(spacing).all() else (1, 1, 1)
        said = f"{' and '.join(named)}, Dice {dice[key]:.2f}\n{key}"
        masks = truth, predict(chosen)
        panels += _of_volume(image, masks, known, source.info.classes, said)
    return draw_panels(
        panels,
        len(scans.AXES) * len(COLUMNS),
        path,
        together=len(COLUMNS),
        title=f"{title}: planes with most tumour, colours as in panels.png",
        note=note,
    )


def _of_volume(
    image: Shaped[np.ndarray, "z y x c"],
    masks: tuple[np.ndarray, np.ndarray],
    spacing: Sequence[float],
    classes: Mapping[str, example_panels.Labels],
    said: str,
) -> list[Panel]:
    """Six panels, the first with what is to be said of the volume."""
    truth, _ = masks
    panels = []
    for axis in scans.AXES:
        marked = scans.slices(truth if truth.any() else masks[1], axis)
        place = int((marked > 0).sum((1, 2, 3)).argmax())
        sides = np.delete(np.array(spacing, float), scans.AXES[axis])
        background = scans.slices(image, axis)[place]
        grey = example_panels.grey(
            example_panels.scan(np.ascontiguousarray(background[..., :1]))
        )
        for name, mask, lone in zip(
            COLUMNS, masks, (example_panels.LONE, PREDICTION), strict=True
        ):
            plane = np.ascontiguousarray(scans.slices(mask, axis)[place])
            picture = example_panels.tinted(
                _in_proportion(grey, sides, cv2.INTER_LINEAR),
                _in_proportion(plane, sides, cv2.INTER_NEAREST),
                classes,
                lone=lone,
            )
            panels.append(Panel(picture, f"\n{axis}, {name}"))
    first = panels[0]
    return [first._replace(caption=said + first.caption), *panels[1:]]


def _in_proportion(
    plane: UInt8[np.ndarray, "h w c"], sides: np.ndarray, method: int
) -> UInt8[np.ndarray, "SIDE SIDE c"]:
    """As large as its voxels are in mm, in the middle of a square."""
    extent = np.multiply(plane.shape[:2], sides)
    height, width = np.maximum(1, np.rint(SIDE * extent / extent.max()).astype(int))
    fitted = cv2.resize(plane, (int(width), int(height)), interpolation=method)
    fitted = fitted.reshape(height, width, plane.shape[-1])
    room = SIDE - np.array([height, width])
    pad = [(int(free // 2), int(free - free // 2)) for free in room]
    return np.pad(fitted, [*pad, (0, 0)])
