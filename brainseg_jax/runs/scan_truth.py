"""True masks of scans that are predicted: found by name, read on the scan's own grid."""

import collections
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8

from brainseg_jax.data import modalities, scans
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.data.scans import Scan
from brainseg_jax.runs import truth
from brainseg_jax.runs.records import About
from brainseg_jax.runs.truth import Truth

SUFFIX = re.compile(r"[_-](seg|mask)$", re.IGNORECASE)
Row = dict[str, Any]


def find(folder: str, cases: Sequence[Case], about: About) -> Truth:
    """A NIfTI mask has its case's name, or that and `_seg`, `-seg`, `_mask` or `-mask`.

    Where names repeat, its folder's tells. Cases without a mask are told of, and those of
    patients that were trained on.

    Raises:
        FileNotFoundError: if the folder is none, or holds no mask of any case.
        ValueError: if several masks may be that of a case.
    """
    taken = {file.absolute() for case in cases for file in case.files}
    by_name = collections.defaultdict(list)
    for path in sorted(truth.folder_of(folder).rglob("*")):
        ending = next(
            (end for end in (".nii.gz", ".nii") if path.name.lower().endswith(end)), ""
        )
        if ending and path.is_file() and path.absolute() not in taken:
            by_name[SUFFIX.sub("", path.name[: -len(ending)])].append(path)
    repeats = collections.Counter(case.name for case in cases)
    found = {
        case: truth.mask_of(
            case.files[0], by_name[case.name], lone=repeats[case.name] == 1
        )
        for case in cases
    }
    masks = {case: mask for case, mask in found.items() if mask}
    if not masks:
        raise FileNotFoundError(
            f"--truth={folder} holds no mask of {cases[0].name} or another scan. A mask is "
            f"named <case>_seg, <case>_mask or <case>, and ends in "
            f"{' or '.join(modalities.ENDINGS)}."
        )
    if without := len(cases) - len(masks):
        logging.warning("%d of %d scans have no mask.", without, len(cases))
    files = [file for case in cases for file in case.files]
    return truth.known_of(masks, files, about)


def read(
    case: Case, scan: Scan, known: Truth | None
) -> UInt8[np.ndarray, "z y x"] | None:
    """The true labels of a scan; None where they are not known.

    Raises:
        UnreadableImage: if the mask is damaged, lies on another grid, or has labels that
            the data set of the model has not, where its classes are told apart by them.
    """
    if known is None or case not in known.masks:
        return None
    path = known.masks[case]
    labels = scans.read_mask(path, scan)
    meant = {0, *(label for own in known.members.values() for label in own)}
    others = sorted({*np.unique(labels).tolist()} - meant)
    if others and len(known.members) > 1:
        raise UnreadableImage(
            f"The mask {path} has the label {others[0]}; those of the model's data set are "
            f"{', '.join(map(str, sorted(meant - {0})))}. Give it the same labels: later "
            "releases of BraTS, for example, have 3 where that of 2021 has 4."
        )
    return labels


def tell(rows: Sequence[Row], known: Truth) -> None:
    """Says how well the masks were met, over scans."""
    scored = [row for row in rows if row.get("dice") not in (None, "")]
    if not scored:
        return
    names = [name for name in scored[0] if re.match(r"dice(_|$)", name)]
    means = {
        name: truth.mean(np.array([row[name] for row in scored], float))
        for name in names
    }
    each = "".join(
        f", {name.removeprefix('dice_')} {mean}"
        for name, mean in means.items()
        if name != "dice"
    )
    logging.info(
        "Dice %s of all that is marked%s; mean of %d scans.",
        means["dice"],
        each,
        len(scored),
    )
    truth.tell_contaminated(known)
