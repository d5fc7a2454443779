"""Images with masks: in two folders, or in one where a suffix tells them apart."""

from collections.abc import Sequence

from datasets import raw
from datasets.folder.parts import (
    NOT_READ,
    Example,
    Found,
    Meaning,
    below,
    is_picture,
    is_unread,
    is_volume,
    labels_of_masks,
    natural,
    stem,
)
from datasets.folder.settings import KEY, Settings


def meaning(settings: Settings) -> Meaning:
    """Classes told by colours are numbered from 1 in the masks that are stored."""
    names = list(settings.classes)
    colours = settings.colours
    classes = dict(zip(names, range(1, len(names) + 1), strict=True))
    return Meaning(
        channels=tuple(settings.channels),
        classes={**(classes if colours else settings.classes)},
        labels=labels_of_masks(names),
        colours=colours,
        painting=[],
    )


def find(names: Sequence[str], settings: Settings) -> Found:
    """Pairs of the same path below their folders, but for the suffixes."""
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    bad: list[dict[str, str]] = []
    for name in names:
        if is_unread(name) and _lies_in(name, settings):
            bad.append({"file": name, "reason": NOT_READ})
        if not is_picture(name) and not is_volume(name):
            continue
        key = _key(name, settings.masks, settings.mask_suffix)
        kind = masks
        if key is None or not _is_mask(name, settings):
            key = _key(name, settings.images, settings.image_suffix)
            kind = images
        if key is None:
            if _lies_in(name, settings):
                bad.append({"file": name, "reason": _misnamed(settings)})
        elif key in kind:
            reason = f"has the name of {kind[key]}, too"
            bad.append({"file": name, "reason": reason})
        else:
            kind[key] = name
    if bool(images) != bool(masks) and not bad:
        raise _none_of(settings, names, "masks" if images else "images")
    for key in sorted(images.keys() - masks.keys(), key=natural):
        bad.append(
            {"file": images[key], "reason": f"has no mask {_mask(key, settings)}"}
        )
    for key in sorted(masks.keys() - images.keys(), key=natural):
        bad.append({"file": masks[key], "reason": "is a mask without an image"})
    both = sorted(images.keys() & masks.keys(), key=natural)
    return Found([Example(key, (images[key],), masks[key]) for key in both], bad)


def _none_of(settings: Settings, names: Sequence[str], kind: str) -> raw.BadFile:
    """Said once, where each file would lack its partner."""
    folder = settings.images if kind == "images" else settings.masks
    pictures = [name for name in names if is_picture(name) or is_volume(name)]
    there = sorted({name.rpartition("/")[0] or "." for name in pictures}, key=natural)
    return raw.BadFile(
        f"There are no {kind} in {folder or '.'}, which {KEY}.{kind} names; there are "
        f"pictures in {', '.join(there[:10])}. Name folder and suffix as they are "
        "(--config.data.skip_bad_files=True does not help here)."
    )


def _key(name: str, folder: str, suffix: str) -> str | None:
    """The path below the folder without suffix and ending; None if it has another."""
    path = below(name, folder)
    if path is None or not stem(path).endswith(suffix):
        return None
    return stem(path).removesuffix(suffix)


def _is_mask(name: str, settings: Settings) -> bool:
    """Of a name that may be a mask's, whether it is no image's, or less likely so.

    The longer folder and suffix decide: masks/ lies in the folder of images, or the other
    way round, and images end in nothing where masks end in _mask, or the other way round.
    """
    if _key(name, settings.images, settings.image_suffix) is None:
        return True
    ours = len(settings.masks.strip("/")), len(settings.mask_suffix)
    return ours > (len(settings.images.strip("/")), len(settings.image_suffix))


def _lies_in(name: str, settings: Settings) -> bool:
    folders = settings.images, settings.masks
    return any(below(name, folder) is not None for folder in folders)


def _misnamed(settings: Settings) -> str:
    return (
        f"ends neither in {settings.image_suffix!r} as an image nor in "
        f"{settings.mask_suffix!r} as a mask"
    )


def _mask(key: str, settings: Settings) -> str:
    """The name that an image's mask would have, with any ending."""
    folder = settings.masks.strip("/")
    return f"{folder}/{key}{settings.mask_suffix}.*".lstrip("/")
