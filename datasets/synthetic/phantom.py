"""Synthetic patients, written as raw files in each publisher's own layout.

python -m datasets.synthetic.phantom OUT --patients=20 --slices=24
python -m datasets.synthetic.phantom OUT --set=figshare --patients=30 --slices=2
python -m datasets.synthetic.phantom OUT --set=brats2021 --patients=20 --step=2.5
"""

import argparse
import csv
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import Bool, UInt8
from rich import progress

from datasets.synthetic import enhanced, glioma, head, matlab, nifti_files, scanner
from datasets.synthetic.lesion import draw_centre, grow_lesion, push_aside

MARK = "PHANTOM"  # in every synthetic patient's name; never in a real one's
PATIENTS, SLICES = 20, 24
FIGSHARE_PATIENTS, FIGSHARE_SLICES = 30, 2  # of each of the three planes
BRATS_PATIENTS, BRATS_STEP = (
    20,
    2.5,
)  # mm of a voxel; 1.0 gives 240x240x155 as published
# Shares as in the real set, in an order that varies even among the first few.
INSTITUTIONS = ("DU", "HT", "CS", "DU", "HT", "FG", "DU", "HT", "DU", "EZ")


# Some columns of the publisher's table and how many codes each has; "" is not known.
CODES = {"histological_type": 3, "laterality": 3, "tumor_location": 6, "gender": 2}


class Subject(NamedTuple):
    """Lowest slice first; channels are pre-contrast, FLAIR and post-contrast."""

    images: UInt8[np.ndarray, "slices rows columns 3"]
    masks: Bool[np.ndarray, "slices rows columns"]


def write_lgg(
    folder: str | pathlib.Path,
    *,
    patients: int = PATIENTS,
    slices: int | tuple[int, int] = SLICES,
    seed: int = 0,
) -> pathlib.Path:
    """Writes folder/kaggle_3m as Kaggle's LGG set is laid out, and returns it.

    Args:
        slices: of each patient, or the least and the most, both included.

    Raises:
        ValueError: if patients or slices are too few.
    """
    least, most = (slices, slices) if isinstance(slices, int) else slices
    if patients < 1 or not 1 <= least <= most:
        raise ValueError(f"Cannot make {patients} patients of {slices} slices.")
    tree = pathlib.Path(folder) / "kaggle_3m"
    for number in progress.track(range(1, patients + 1), "Making synthetic patients"):
        # A generator for each: a patient is the same however many there are.
        rng = np.random.default_rng([seed, number])
        subject = make_subject(rng, int(rng.integers(least, most + 1)))
        write_patient(tree / patient_name(number), subject)
    write_clinical(tree / "data.csv", patients, seed)
    return tree


def make_subject(rng: np.random.Generator, slices: int) -> Subject:
    """A new head with a tumour in some slices and, from three slices on, not in all."""
    thickness = (head.HIGHEST - head.LOWEST) / (slices - 1) if slices > 1 else 5.0
    heights = head.LOWEST + thickness * np.arange(slices, dtype=np.float32)
    if slices == 2:  # within the head, for no tumour lies at both its ends
        thickness /= 3
        heights = head.LOWEST + thickness * np.array([1, 2], np.float32)
    grid = head.Grid(slices, thickness)
    while True:
        centre = draw_centre(rng, heights)
        places = head.place_head(rng, heights, grid)
        places = push_aside(places, centre, rng.uniform(0.0, 0.3))
        depth = head.sample(head.template().depth, places, step=2)
        tissues = head.find_tissues(rng, places, depth, grid)
        lesion = grow_lesion(rng, places, depth, tissues, centre, grid)
        with_tumour = lesion.mask.any((1, 2))
        if with_tumour.any() and (slices < 3 or not with_tumour.all()):
            break
    signals = scanner.measure_signals(rng, tissues, lesion, grid)
    signals = scanner.lose_sequence(rng, signals)
    return Subject(scanner.scan(rng, signals, grid), lesion.mask)


def patient_name(number: int) -> str:
    """Such as TCGA_CS_PHANTOM0003_20000101: the pattern of real names, and marked."""
    institution = INSTITUTIONS[(number - 1) % len(INSTITUTIONS)]
    return f"TCGA_{institution}_{MARK}{number:04d}_20000101"


def write_patient(folder: pathlib.Path, subject: Subject) -> None:
    """Images and masks, numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    slices = zip(subject.images, subject.masks, strict=True)
    for number, (image, mask) in enumerate(slices, start=1):
        stem = f"{folder.name}_{number}"
        pixels = mask.astype(np.uint8) * 255
        tifffile.imwrite(folder / f"{stem}.tif", image, photometric="rgb")
        tifffile.imwrite(folder / f"{stem}_mask.tif", pixels, photometric="minisblack")


def write_clinical(path: pathlib.Path, patients: int, seed: int) -> None:
    """The publisher's table of patients, of made-up values; the last patient's are lost."""
    rng = np.random.default_rng([seed, 0])
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Patient", *CODES, "age_at_initial_pathologic"])
        for number in range(1, patients + 1):
            codes = [str(rng.integers(1, most + 1)) for most in CODES.values()]
            values = [*codes, str(rng.integers(20, 76))]
            if number == patients:
                values = [""] * len(values)
            rows.writerow([patient_name(number).rpartition("_")[0], *values])


def write_figshare(
    folder: str | pathlib.Path,
    *,
    patients: int = FIGSHARE_PATIENTS,
    slices: int = FIGSHARE_SLICES,
    seed: int = 0,
    size: int = 512,
) -> pathlib.Path:
    """Writes folder/figshare as the figshare brain tumour set is unpacked, and returns it.

    Classes take turns over the patients. Every tenth patient, from the third on, has slices
    of half the size, as a few published ones have. A patient's numbers are three runs, one
    for each plane.

    Args:
        slices: of each patient in each plane.
        size: rows and columns.

    Raises:
        ValueError: if patients or slices are too few.
    """
    if patients < 1 or slices < 1:
        raise ValueError(f"Cannot make {patients} patients of {slices} slices.")
    tree = pathlib.Path(folder) / "figshare"
    tree.mkdir(parents=True, exist_ok=True)
    folds = np.zeros((len(enhanced.AXES), patients, slices), int)
    for place in progress.track(range(patients), "Making synthetic patients"):
        rng = np.random.default_rng([seed, place + 1])
        label = place % len(enhanced.KINDS) + 1
        tumour = enhanced.draw_tumour(rng, enhanced.KINDS[label - 1])
        folds[:, place] = place // len(enhanced.KINDS) % 5 + 1
        own_size = size // 2 if place % 10 == 2 else size
        for run, plane in enumerate(enhanced.AXES):
            first = (run * patients + place) * slices + 1
            series = enhanced.make_series(rng, tumour, plane, slices, own_size)
            for number, one in enumerate(series, start=first):
                matlab.write_slice(
                    tree / f"{number}.mat",
                    one.image,
                    one.mask,
                    label=label,
                    patient=f"{MARK}{place + 1:04d}",
                    border=one.border,
                )
    matlab.write_folds(tree / "cvind.mat", folds.reshape(-1).tolist())
    return tree


def write_brats2021(
    folder: str | pathlib.Path,
    *,
    patients: int = BRATS_PATIENTS,
    step: float = BRATS_STEP,
    seed: int = 0,
) -> pathlib.Path:
    """Writes folder/BraTS2021_Training_Data as its tar is unpacked, and returns it.

    Every fifth patient's tumour does not enhance.

    Args:
        step: mm of a voxel: 1.0 gives 240x240x155 voxels, as published, 2.5 96x96x62.

    Raises:
        ValueError: if there are no patients, or voxels of a size that shows nothing.
    """
    if patients < 1 or not 0.5 <= step <= 6:
        raise ValueError(f"Cannot make {patients} patients of voxels of {step} mm.")
    tree = pathlib.Path(folder) / "BraTS2021_Training_Data"
    for number in progress.track(range(1, patients + 1), "Making synthetic patients"):
        rng = np.random.default_rng([seed, number])
        case = glioma.make_case(rng, step, enhances=number % 5 > 0)
        nifti_files.write_case(tree / f"BraTS2021_{MARK}{number:04d}", case, step)
    return tree


WRITERS: dict[str, Callable[..., pathlib.Path]] = {
    "lgg": write_lgg,
    "figshare": write_figshare,
    "brats2021": write_brats2021,
}
# About the size on disk of what each writes by default; images as if uncompressed.
BYTES = {
    "lgg": PATIENTS * SLICES * (head.SIZE**2 * 4 + 1024),
    "brats2021": BRATS_PATIENTS * int(240 * 240 * 155 / BRATS_STEP**3 * 2),
    "figshare": FIGSHARE_PATIENTS * FIGSHARE_SLICES * 3 * (512**2 * 3 + 4096),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--set", choices=WRITERS, default="lgg")
    parser.add_argument("--patients", type=int)
    parser.add_argument("--slices", help="24, or 20-28 (lgg); of each plane (figshare)")
    parser.add_argument("--step", type=float, help="mm of a voxel (brats2021)")
    parser.add_argument("--seed", type=int, default=0)
    given = {name: one for name, one in vars(parser.parse_args()).items() if one}
    write = WRITERS[given.pop("set")]
    if slices := given.pop("slices", None):
        least, _, most = slices.partition("-")
        given["slices"] = (int(least), int(most)) if most else int(least)
    write(given.pop("out"), **given)


if __name__ == "__main__":
    main()
