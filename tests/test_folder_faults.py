"""One's own pictures that cannot be used: each named with its fault, nothing left."""

import cv2
import numpy as np
import pytest
import tifffile

from datasets import raw
from tests import small_folder
from tests.small_folder import FILE

pairs = small_folder.pairs


def rewrite(folder, change, name=FILE):
    """Another image or mask in its place."""

    def fault(tree):
        path = tree / folder / name
        pixels = change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        small_folder.write(path, pixels)

    return fault


def truncate(tree):
    path = tree / "images" / FILE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_value(value):
    def change(pixels):
        changed = pixels.copy()
        changed[0, 0] = value
        return changed

    return change


def blur(pixels):
    return cv2.GaussianBlur(pixels, (0, 0), 1.5)


def pages(tree):
    (tree / "images" / FILE).unlink()
    stack = np.zeros((2, *small_folder.SHAPE), np.uint8)
    tifffile.imwrite(tree / "images" / "P1_2.tif", stack, photometric="minisblack")


def floats(tree):
    (tree / "images" / FILE).unlink()
    tifffile.imwrite(
        tree / "images" / "P1_2.tif", np.zeros(small_folder.SHAPE, "float32")
    )


def duplicate(tree):
    small_folder.write(tree / "images" / "P1_2.jpg", small_folder.picture(3))


def colours(channels):
    return lambda image: np.repeat(image[..., None], channels, axis=-1)


PAIR_FAULTS = {
    "no picture": (
        lambda tree: (tree / "images" / FILE).write_text("not a picture"),
        r"images/P1_2.png: cannot be decoded: its 13 bytes are damaged",
    ),
    "cut short": (truncate, "images/P1_2.png: cannot be decoded"),
    "empty file": (
        lambda tree: (tree / "masks" / FILE).write_bytes(b""),
        "masks/P1_2.png: cannot be decoded: its 0 bytes",
    ),
    "alpha": (
        rewrite("images", colours(4)),
        r"images/P1_2.png: has an alpha channel \(transparency\): save it without",
    ),
    "colours": (
        rewrite("images", colours(3)),
        r"has 3 channels, where 1 channel \(grey\) are declared",
    ),
    "16 bits": (
        rewrite("images", lambda image: image.astype(np.uint16) * 256),
        "images/P1_2.png: has 16 bits, but images/P0_1.png has 8: all pictures need",
    ),
    "floats": (floats, "P1_2.tif: has float32 values; whole numbers of 8 or 16 bits"),
    "pages": (pages, "images/P1_2.tif: has 2 pages, and a picture is one"),
    "grey mask": (
        rewrite("masks", blur),
        r"masks/P1_2.png: has the values 1, .* masks have 0, 255 alone, .* of JPEG",
    ),
    "unknown label": (
        rewrite("masks", with_value(7)),
        "has the values 7 in 1 pixels, and masks have 0, 255 alone",
    ),
    "coloured mask": (
        rewrite("masks", lambda mask: np.dstack([mask, 0 * mask, 0 * mask])),
        "masks/P1_2.png: is a mask with colours, and config.data.folder.classes tells",
    ),
    "alpha mask": (rewrite("masks", colours(4)), "masks/P1_2.png: has an alpha"),
    "other shape": (
        rewrite("masks", lambda mask: mask[:-1]),
        r"masks/P1_2.png: has the shape \(15, 20\), its image \(16, 20\)",
    ),
    "other format": (
        lambda tree: (tree / "images" / "P7_1.BMP").write_bytes(b""),
        "images/P7_1.BMP: is of a format that is not read: save it as PNG or TIFF",
    ),
    "no mask": (
        lambda tree: (tree / "masks" / FILE).unlink(),
        r"images/P1_2.png: has no mask masks/P1_2\.\*",
    ),
    "no image": (
        lambda tree: (tree / "images" / FILE).unlink(),
        "masks/P1_2.png: is a mask without an image",
    ),
    "duplicate": (duplicate, "images/P1_2.png: has the name of images/P1_2.jpg, too"),
}


@pytest.mark.parametrize(("fault", "said"), PAIR_FAULTS.values(), ids=PAIR_FAULTS)
def test_a_bad_picture_is_named_with_its_fault(pairs, tmp_path, fault, said):
    fault(pairs)
    with pytest.raises(raw.BadFile, match=said) as caught:
        small_folder.build(pairs, tmp_path / "data")
    assert "1 raw file cannot be used" in str(caught.value)
    assert "Mend the data" in str(caught.value)
    assert "--config.data.skip_bad_files=True" in str(caught.value)
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_an_unknown_colour_of_a_mask_is_named(pairs, tmp_path):
    for path in (pairs / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.dstack([0 * mask, 0 * mask, mask]))
    change = with_value((30, 20, 10))  # OpenCV has blue first
    rewrite("masks", change)(pairs)
    said = (
        r"P1_2.png: has 1 colours that are no class's, such as \(10, 20, 30\), in 1 p"
    )
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(pairs, tmp_path / "data", classes={"tumour": (255, 0, 0)})
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_images_whose_names_end_otherwise_are_named(tmp_path):
    tree = small_folder.write_pairs(tmp_path / "raw", suffix="_m")
    small_folder.write(tree / "masks" / "notes.png", small_folder.mask(1))
    with pytest.raises(
        raw.BadFile, match="notes.png: ends neither in '' .* nor in '_m'"
    ):
        small_folder.build(tree, tmp_path / "data", mask_suffix="_m")


def test_synthetic_pictures_among_real_ones_are_refused(pairs, tmp_path):
    for folder in ("images", "masks"):
        (pairs / folder / FILE).rename(pairs / folder / "PHANTOM0001_1.png")
    with pytest.raises(
        raw.BadFile, match="PHANTOM0001_1.png is synthetic.*11 pictures"
    ):
        small_folder.build(pairs, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")
