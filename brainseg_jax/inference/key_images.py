"""A page for each patient: the slices with most that is marked, contours, figures."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Integer, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from brainseg_jax.data import image_files
from brainseg_jax.inference import localise, outlines

COUNT = 3  # slices on a page
HEIGHT, WIDTH = 320, 360  # pixels that a slice has at most
MARGIN, LINE, SIZE = 12, 20, 14
LETTERS = 96  # that fit on a line of a narrow page; half of them below a slice
PAPER, INK, PALE = (255, 255, 255), (20, 20, 20), (110, 110, 110)
NOT_FOR_DIAGNOSIS = "Predicted by software, not for diagnosis."


class Key(NamedTuple):
    """A slice with its mask, and what it is called."""

    image: Shaped[np.ndarray, "h w c"]
    mask: Integer[np.ndarray, "h w"]
    name: str
    spacing: tuple[float, float] | None = None
    sides: tuple[str, str] = localise.OF_PICTURE

    @property
    def marked(self) -> int:
        return int((self.mask > 0).sum())


def largest(keys: Sequence[Key], other: Key | None = None) -> list[Key]:
    """Those with most that is marked, and with one more; slices without are left out."""
    candidates = [*keys, *([other] if other else [])]
    ranked = sorted((one for one in candidates if one.marked), key=lambda k: -k.marked)
    return ranked[:COUNT]


def write_page(
    path: Path, title: str, keys: Sequence[Key], said: Sequence[str]
) -> Path:
    """Slices side by side, each with its figures below; `said` is of all together."""
    panels = [_panel(key) for key in keys]
    captions = [_figures(key) for key in keys]
    said = [part for line in said for part in textwrap.wrap(line, LETTERS)]
    above = MARGIN + LINE * (1 + len(said)) + MARGIN
    below = LINE * max(map(len, captions), default=0) + LINE + 2 * MARGIN
    width = MARGIN + max(2, len(panels)) * (WIDTH + MARGIN)
    page = Image.new("RGB", (width, above + HEIGHT * bool(panels) + below), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(SIZE)
    draw.text((MARGIN, MARGIN), title, INK, ImageFont.load_default(SIZE + 2))
    for number, line in enumerate(said, start=1):
        draw.text((MARGIN, MARGIN + LINE * number), line, INK, font)
    for place, (panel, lines) in enumerate(zip(panels, captions, strict=True)):
        left = MARGIN + place * (WIDTH + MARGIN)
        page.paste(Image.fromarray(panel), (left, above))
        for number, line in enumerate(lines):
            top = above + HEIGHT + 6 + LINE * number
            draw.text((left, top), line, INK, font)
    foot = (MARGIN, page.height - LINE - MARGIN // 2)
    draw.text(foot, NOT_FOR_DIAGNOSIS, PALE, font)
    return image_files.write_png(path, np.asarray(page))


def _panel(key: Key) -> UInt8[np.ndarray, "HEIGHT WIDTH 3"]:
    """The slice with contours, in proportion, in the middle of black."""
    height, width = key.mask.shape
    down, across = key.spacing or (1.0, 1.0)
    scale = min(HEIGHT / (height * down), WIDTH / (width * across))
    size = (
        max(1, round(width * across * scale)),
        max(1, round(height * down * scale)),
    )
    shown = image_files.display(image_files.as_8_bits(key.image))
    grey = cv2.resize(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), size)
    mask = (key.mask > 0).astype(np.uint8)
    large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    picture = outlines.superimpose(grey[..., None], large)
    room = np.subtract((HEIGHT, WIDTH), picture.shape[:2])
    pad = [(int(free // 2), int(free - free // 2)) for free in room]
    return np.pad(picture, [*pad, (0, 0)])


def _figures(key: Key) -> list[str]:
    """The name, and the sizes of the largest lesion."""
    found = localise.lesions(
        key.mask,
        key.spacing,
        middle=localise.middle_of_head(key.image),
        sides=key.sides,
    )
    first = found[0]
    unit, square = ("mm", "mm2") if key.spacing else ("pixels", "pixels")
    area, across = (
        f"area_{'mm2' if key.spacing else 'pixels'}",
        f"diameter_across_{unit}",
    )
    many = f"largest of {len(found)} lesions: " if len(found) > 1 else ""
    return [
        key.name[-LETTERS // 2 :],
        f"{many}{first[area]:.0f} {square}, {first['side']}",
        f"diameters {first[f'diameter_{unit}']:.1f} x {first[across]:.1f} {unit}",
    ]
