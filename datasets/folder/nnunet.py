"""nnU-Net's layout, version 2: imagesTr, labelsTr and the dataset.json that names both."""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from datasets import archives, raw
from datasets.folder.parts import (
    ENDINGS,
    VOLUMES,
    Example,
    Found,
    Meaning,
    below,
    labels_of_masks,
    natural,
)
from datasets.folder.settings import HIGHEST

FILE = "dataset.json"
IMAGE = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
NEEDED = ("channel_names", "labels", "numTraining", "file_ending")


class Described:
    """dataset.json, checked: nothing that it says is taken on trust.

    Raises:
        MissingRawData: if there is none.
        BadFile: if it cannot be read or used; says which of its entries, and why.
    """

    def __init__(self, files: archives.Files):
        names = [n for n in files.names if pathlib.PurePosixPath(n).name == FILE]
        if not names:
            raise raw.MissingRawData(
                f"{files.path} holds no {FILE}: nnU-Net's layout is a folder with {FILE}, "
                "imagesTr and labelsTr. For other layouts set config.data.folder.layout."
            )
        self.name = min(names, key=lambda name: (name.count("/"), name))
        self.top = self.name.removesuffix(FILE)
        self.said = self._read(files)
        self.ending = self._ending()
        self.channels = self._channels()
        self.classes = self._classes()
        self.painting = self._painting()

    def refused(self, reason: str) -> raw.BadFile:
        return raw.BadFile(
            f"{self.name} {reason}. Correct it, or the files "
            "(--config.data.skip_bad_files=True does not help here)."
        )

    def _read(self, files: archives.Files) -> dict[str, Any]:
        try:
            said = json.loads(files.read(self.name))
        except ValueError as error:  # of JSON, of UTF-8, or of a file that is not read
            raise self.refused(f"is not JSON ({error})") from error
        if not isinstance(said, dict):
            raise self.refused("is not a JSON object of named entries")
        if "modality" in said and "channel_names" not in said:
            raise self.refused(
                "is of nnU-Net's version 1: it has modality where version 2 has "
                "channel_names. Convert it with nnUNetv2_convert_old_nnUNet_dataset"
            )
        if absent := [key for key in NEEDED if key not in said]:
            raise self.refused(f"lacks {', '.join(absent)}")
        return said

    def _ending(self) -> str:
        ending = self.said["file_ending"]
        if ending not in (*ENDINGS, *VOLUMES):
            listed = ", ".join((*ENDINGS, *VOLUMES))
            raise self.refused(f"has the file_ending {ending!r}; {listed} are read")
        return ending

    def _channels(self) -> tuple[str, ...]:
        names = self.said["channel_names"]
        named = names if isinstance(names, dict) else {}
        wanted = [str(place) for place in range(len(named))]
        if not named or sorted(named, key=natural) != wanted:
            raise self.refused(
                f"has the channel_names {names!r}; they are numbered, as in "
                '{"0": "T1", "1": "T2"}'
            )
        return tuple(str(names[place]) for place in wanted)

    def _classes(self) -> dict[str, int | list[int]]:
        labels = self.said["labels"]
        if not isinstance(labels, dict) or labels.get("background") != 0:
            raise self.refused(
                f'has the labels {labels!r}; they are names with numbers, "background": 0 '
                "among them"
            )
        if "ignore" in labels:
            raise self.refused("has a label ignore, and no pixels can be left out yet")
        found = {name: value for name, value in labels.items() if name != "background"}
        for name, value in found.items():
            numbers = value if isinstance(value, list) else [value]
            if not numbers or not all(
                type(number) is int and 0 < number <= HIGHEST for number in numbers
            ):
                raise self.refused(
                    f"has the label {value!r} for {name}; a label is a whole number of 1 "
                    f"to {HIGHEST}, that of a region a list of them"
                )
        if not found:
            raise self.refused("names no label but background")
        single = [value for value in found.values() if type(value) is int]
        if len({*single}) < len(single):
            raise self.refused(f"has two names for one label in {labels!r}")
        return found

    def _painting(self) -> list[tuple[str, int]]:
        if not any(isinstance(value, list) for value in self.classes.values()):
            return []
        order = self.said.get("regions_class_order")
        if not isinstance(order, list) or len(order) != len(self.classes):
            raise self.refused(
                f"has labels that are regions, and regions_class_order {order!r}: it has "
                "a label for each region, in their order"
            )
        for (name, value), label in zip(self.classes.items(), order, strict=True):
            labels = value if isinstance(value, list) else [value]
            if type(label) is not int or label not in labels:
                raise self.refused(
                    f"has {label!r} for {name} in regions_class_order; it has to be one of "
                    f"its labels, {', '.join(map(str, labels))}"
                )
        return list(zip(self.classes, order, strict=True))

    @property
    def meaning(self) -> Meaning:
        labels = labels_of_masks(self.classes)
        return Meaning(self.channels, self.classes, labels, {}, self.painting)


def find(names: Sequence[str], described: Described) -> Found:
    """The cases of imagesTr and labelsTr.

    Raises:
        BadFile: if they are not as many, or not called, as dataset.json says.
    """
    masks = _files(names, described, "labelsTr")
    pictures = _files(names, described, "imagesTr")
    images: dict[str, list[str]] = {}
    bad = []
    for case in sorted(pictures, key=natural):
        parts = IMAGE.fullmatch(case)
        if not parts:
            reason = f"is not called <case>_0000{described.ending}"
            bad.append({"file": pictures[case], "reason": reason})
            continue
        channels = images.setdefault(parts["case"], [])
        channels.append(pictures[case])
        if int(parts["channel"]) != len(channels) - 1:
            reason = f"comes without {parts['case']}_{len(channels) - 1:04d}"
            bad.append({"file": pictures[case], "reason": reason})
            images.pop(parts["case"])
    _check_count(described, len(masks))
    for case in sorted(images.keys() - masks.keys(), key=natural):
        mask = f"labelsTr/{case}{described.ending}"
        bad.append({"file": images[case][0], "reason": f"has no mask {mask}"})
    for case in sorted(masks.keys() - images.keys(), key=natural):
        bad.append({"file": masks[case], "reason": "is a mask without an image"})
    both = sorted(images.keys() & masks.keys(), key=natural)
    return Found([Example(case, (*images[case],), masks[case]) for case in both], bad)


def _files(names: Sequence[str], described: Described, folder: str) -> dict[str, str]:
    """Files right in a folder, as nnU-Net reads them, by names without the ending."""
    top = described.top + folder
    inside = [name for name in names if "/" not in (below(name, top) or "/")]
    found = {
        pathlib.PurePosixPath(name).name.removesuffix(described.ending): name
        for name in inside
        if name.endswith(described.ending)
    }
    if not found:
        example = f", but files such as {inside[0]}" if inside else ""
        raise described.refused(
            f"has the file_ending {described.ending!r}, and {described.top}{folder} holds "
            f"no such file{example}"
        )
    return found


def _check_count(described: Described, count: int) -> None:
    said = described.said["numTraining"]
    if said != count:
        raise described.refused(
            f"has numTraining {said!r}, but labelsTr holds {count} cases"
        )
