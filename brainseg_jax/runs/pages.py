"""Key images of each patient, drawn when the last of its slices is predicted."""

import pathlib

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.data import scans
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import key_images, localise
from brainseg_jax.inference.key_images import Key
from brainseg_jax.runs.picture_outputs import Example


class Pages:
    """A context manager; slices of one volume have to come one after the other."""

    def __init__(self, outputs: pathlib.Path, note: str):
        self._outputs, self._note = outputs, note
        self._volume, self._name, self._slices, self._marked = "", "", 0, 0
        self._keys: list[Key] = []
        self._warnings: tuple[str, ...] = ()
        self._names: set[str] = set()

    def __enter__(self) -> "Pages":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._draw()

    def add(self, example: Example, mask: UInt8[np.ndarray, "h w"]) -> None:
        if example.volume != self._volume:
            self._draw()
            self._volume, self._warnings = example.volume, example.warnings
            self._name = _name_of(example)
            self._slices, self._marked, self._keys = 0, 0, []
        picture = example.picture
        sides = picture.sides or localise.OF_PICTURE
        key = Key(picture.image, mask, example.path.name, picture.spacing, sides)
        self._slices += 1
        self._marked += key.marked > 0
        self._keys = key_images.largest(self._keys, key)
        if self._slices == example.slices:  # at once: a stopped run goes on behind it
            self._draw()

    def _draw(self) -> None:
        if not self._slices:
            return
        name = self._name
        if name in self._names:
            name = f"{pathlib.Path(self._volume).parent.name}_{name}"
        self._names.add(name)
        many = "slice" if self._slices == 1 else "slices"
        said = [f"{self._slices} {many}, {self._marked} of them marked"]
        said += filter(None, [*self._warnings, self._note])
        key_images.write_page(
            self._outputs / f"{name}_page.png", name, self._keys, said
        )
        self._slices = 0


def _name_of(example: Example) -> str:
    """Of a folder, of what its slices' names begin with, or of a file that is alone."""
    path = pathlib.Path(example.volume)
    if path == example.path:
        return path.stem
    return path.name.rstrip("*").rstrip("_- ") or path.parent.name


def write_of_scan(
    path: pathlib.Path,
    title: str,
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    said: list[str],
) -> None:
    """The axial slices of a scan with most that is marked."""
    masks = scans.slices(labels, "axial")
    images = scans.slices(scan.image, "axial")
    spacing = scan.spacing[1], scan.spacing[2]
    areas = (masks > 0).sum((1, 2))
    chosen = np.argsort(-areas, kind="stable")[: key_images.COUNT]
    keys = [
        Key(
            np.ascontiguousarray(images[place]),
            np.ascontiguousarray(masks[place]),
            f"axial slice {place + 1} of {len(masks)} from below",
            spacing,
            localise.OF_PATIENT,
        )
        for place in chosen
    ]
    key_images.write_page(path, title, key_images.largest(keys), said)
