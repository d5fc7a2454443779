"""Synthetic pictures as people keep their own: PNGs with masks, or in folders of classes.

python -m datasets.synthetic.pictures OUT --layout=pairs --patients=20 --slices=12
python -m datasets.synthetic.pictures OUT --layout=classes --patients=30 --slices=1
"""

import argparse
import pathlib

import cv2
import numpy as np
from rich import progress

from datasets.synthetic import enhanced, head, phantom

FLAIR = 1  # of a subject's channels
PATIENTS, SLICES = 20, 12  # of pairs
CLASS_PATIENTS, CLASS_SLICES = 30, 2  # of classes; slices of each of three planes
HIGHEST = 99.5  # percentile that becomes white


def write_pairs(
    folder: str | pathlib.Path,
    *,
    patients: int = PATIENTS,
    slices: int = SLICES,
    seed: int = 0,
) -> pathlib.Path:
    """Writes folder/images and folder/masks, FLAIR slices in 8 bits, and returns folder.

    Raises:
        ValueError: if patients or slices are too few.
    """
    _require(patients, slices)
    folder = pathlib.Path(folder)
    for number in progress.track(range(1, patients + 1), "Making synthetic patients"):
        subject = phantom.make_subject(np.random.default_rng([seed, number]), slices)
        both = zip(subject.images[..., FLAIR], subject.masks, strict=True)
        for place, (image, mask) in enumerate(both, start=1):
            name = f"{phantom.MARK}{number:04d}_{place:02d}.png"
            _write(folder / "images" / name, image)
            _write(folder / "masks" / name, mask.astype(np.uint8) * 255)
    return folder


def write_classes(
    folder: str | pathlib.Path,
    *,
    patients: int = CLASS_PATIENTS,
    slices: int = CLASS_SLICES,
    seed: int = 0,
) -> pathlib.Path:
    """Writes a folder of PNGs for each kind of tumour, and returns the folder around them.

    Args:
        slices: of each patient in each of three planes.

    Raises:
        ValueError: if patients or slices are too few.
    """
    _require(patients, slices)
    folder = pathlib.Path(folder)
    for number in progress.track(range(1, patients + 1), "Making synthetic patients"):
        rng = np.random.default_rng([seed, number])
        kind = enhanced.KINDS[(number - 1) % len(enhanced.KINDS)]
        tumour = enhanced.draw_tumour(rng, kind)
        for plane in enhanced.AXES:
            series = enhanced.make_series(rng, tumour, plane, slices, head.SIZE)
            for place, one in enumerate(series, start=1):
                name = f"{phantom.MARK}{number:04d}_{plane}_{place}.png"
                _write(folder / kind / name, _in_8_bits(one.image))
    return folder


# About the size on disk of what each writes by default; images as if uncompressed.
BYTES = {
    "pairs": PATIENTS * SLICES * 2 * (head.SIZE**2 + 1024),
    "classes": CLASS_PATIENTS * CLASS_SLICES * 3 * (head.SIZE**2 + 1024),
}


def _require(patients: int, slices: int) -> None:
    if patients < 1 or slices < 1:
        raise ValueError(f"Cannot make {patients} patients of {slices} slices.")


def _in_8_bits(image: np.ndarray) -> np.ndarray:
    """As pictures are exported: the brightest pixels cut off."""
    return np.clip(image / np.percentile(image, HIGHEST) * 255, 0, 255).astype(np.uint8)


def _write(path: pathlib.Path, pixels: np.ndarray) -> None:
    """An OSError, such as of a full disk, is not lost as OpenCV would lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layout", choices=("pairs", "classes"), default="pairs")
    parser.add_argument("--patients", type=int)
    parser.add_argument("--slices", type=int, help="classes: of each of three planes")
    parser.add_argument("--seed", type=int, default=0)
    given = vars(parser.parse_args())
    write = {"pairs": write_pairs, "classes": write_classes}[given.pop("layout")]
    chosen = {name: value for name, value in given.items() if value is not None}
    write(chosen.pop("out"), **chosen)


if __name__ == "__main__":
    main()
