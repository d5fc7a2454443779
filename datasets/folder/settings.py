"""What a config's data.folder says, checked; and how it differs from a prepared set's."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

LAYOUTS = ("pairs", "classes", "nnunet")
KEY = "config.data.folder"
GROUP = "patient"
HIGHEST = 255  # label of a mask
# Keys that came later, each with the value that says what older sets are.
LATER: dict[str, Any] = {"spacing": []}
EXAMPLE = f"{KEY}.patient='^(?P<{GROUP}>[^_]+)_'"


@dataclasses.dataclass(frozen=True)
class Settings:
    """configs/base.py says what each is, and has the defaults."""

    layout: str
    images: str
    masks: str
    image_suffix: str
    mask_suffix: str
    channels: tuple[str, ...]
    classes: dict[str, Any]  # name -> label of the mask, or its colour
    labels: tuple[str, ...]
    patient: str
    table: str
    table_columns: tuple[str, ...]
    one_patient_per_file: bool
    spacing: tuple[float, ...]

    @property
    def colours(self) -> dict[str, tuple[int, ...]]:
        """Of classes that are told by their colours."""
        return {name: tuple(v) for name, v in self.classes.items() if _is_colour(v)}


def read(given: Mapping[str, Any]) -> Settings:
    """From a config's data.folder; ValueError names the key that cannot be."""
    # A config forgets the order of its keys.
    found = Settings(**{**given, "classes": dict(sorted(given["classes"].items()))})
    if found.layout not in LAYOUTS:
        _refuse("layout", found.layout, f"it can be {', '.join(LAYOUTS)}")
    if found.layout == "pairs":
        _check_names(found)
        _check_classes(found)
    if found.layout != "nnunet":
        _check_words("channels", found.channels, least=1)
    if found.layout == "classes" and found.labels:
        _check_words("labels", found.labels, least=2)
    _check_patients(found)
    _check_spacing(found.spacing)
    return found


def to_record(settings: Settings) -> dict[str, Any]:
    """As plain JSON."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def differences(settings: Settings, prepared: Mapping[str, Any]) -> list[str]:
    """What is set otherwise than in a prepared set's record, one text for each key."""
    there = LATER | {**prepared}
    return [
        f"{KEY}.{name}={there.get(name)!r} there, {value!r} now"
        for name, value in to_record(settings).items()
        if there.get(name) != value
    ]


def _check_names(settings: Settings) -> None:
    """Whether a mask can be told from its image."""
    images = settings.images, settings.image_suffix
    if images == (settings.masks, settings.mask_suffix):
        raise ValueError(
            f"{KEY}.images and .masks are both {settings.images!r}, and their suffixes "
            "are the same, too: a mask cannot be told from an image. Name two folders, or "
            f"a suffix that masks alone have, such as {KEY}.mask_suffix=_mask"
        )


def _check_classes(settings: Settings) -> None:
    """Labels of 1 to 255 for all, or a colour for all, no two alike."""
    values = list(settings.classes.values())
    labels = [value for value in values if type(value) is int and 0 < value <= HIGHEST]
    colours = [tuple(value) for value in values if _is_colour(value) and any(value)]
    if not values or len(values) not in (len(labels), len(colours)):
        _refuse(
            "classes",
            settings.classes,
            "each class has its label in the masks, 1 to 255, as in {'tumour': 255}, or "
            "each has its colour, as in {'tumour': (255, 0, 0)}; 0 and black are nothing",
        )
    if len({*labels, *colours}) < len(values):
        _refuse("classes", settings.classes, "two classes have the same value")


def _is_colour(value: Any) -> bool:
    """Red, green and blue, of 0 to 255 each."""
    return (
        isinstance(value, tuple | list)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= HIGHEST for part in value)
    )


def _check_words(key: str, words: tuple[str, ...], least: int) -> None:
    if len(words) < least or len({*words}) < len(words) or not all(words):
        _refuse(key, tuple(words), f"it has {least} or more names, no two alike")


def _check_patients(settings: Settings) -> None:
    """At most one way to tell the patient, and one that can work."""
    ways = ("patient", "table", "one_patient_per_file")
    if len(given := [way for way in ways if getattr(settings, way)]) > 1:
        raise ValueError(
            f"{' and '.join(f'{KEY}.{way}' for way in given)} both say whose a picture "
            "is; set one of them alone."
        )
    if settings.table and len(settings.table_columns) != 2:
        _refuse("table_columns", settings.table_columns, "it names two columns")
    if not settings.patient:
        return
    try:
        groups = re.compile(settings.patient).groupindex
    except re.error as error:
        _refuse("patient", settings.patient, f"as a regular expression, it has {error}")
    if GROUP not in groups:
        _refuse("patient", settings.patient, f"it needs a group (?P<{GROUP}>...)")


def _check_spacing(spacing: tuple[float, ...]) -> None:
    if spacing and (len(spacing) != 3 or not all(0 < mm < math.inf for mm in spacing)):
        _refuse(
            "spacing",
            tuple(spacing),
            "it has the mm between slices, rows and columns, as in (5, 0.9, 0.9), or is ()",
        )


def _refuse(key: str, value: Any, reason: str) -> NoReturn:
    raise ValueError(f"{KEY}.{key} is {value!r}: {reason}.")
