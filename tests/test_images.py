"""Image files are found, grouped by volume, read in RGB, refused by name, written whole."""

import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from brainseg_jax.data import image_files


def _picture(height: int = 12, width: int = 16) -> np.ndarray:
    """Red at the left, green in the middle, blue at the right: order shows at once."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :4, 0], picture[:, 4:9, 1], picture[:, 9:, 2] = 250, 150, 50
    return picture


def _touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_slice_two_comes_before_slice_ten(tmp_path):
    _touch(tmp_path, "a_10.tif", "a_9.TIF", "a_2.png", "sub/a_1.jpeg", "notes.txt")
    found = [
        str(path.relative_to(tmp_path)) for path in image_files.find_images([tmp_path])
    ]
    assert found == ["a_2.png", "a_9.TIF", "a_10.tif", "sub/a_1.jpeg"]


def test_masks_and_hidden_files_are_left_out(tmp_path):
    _touch(tmp_path, "a_1.tif", "a_1_mask.tif", "b_mask.png", "._a_1.tif", ".x/c.png")
    assert image_files.find_images([tmp_path]) == [tmp_path / "a_1.tif"]


def test_a_file_named_twice_is_read_once(tmp_path):
    (image,) = _touch(tmp_path, "a_1.tif")
    assert image_files.find_images([tmp_path, image, str(image)]) == [image]


def test_nothing_found_says_which_endings_are_read(tmp_path):
    _touch(tmp_path, "a_mask.tif", "a.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"1 \*_mask files.*\.tif, .*\.jpeg"):
        image_files.find_images([tmp_path])


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        image_files.find_images([tmp_path / "nowhere"])


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    with pytest.raises(
        image_files.UnreadableImage, match=r"scan\.gif.*must end in \.tif.*\.nii\.gz"
    ):
        image_files.find_images(_touch(tmp_path, "scan.gif"))


def test_a_folder_is_a_volume(tmp_path):
    files = _touch(
        tmp_path, "p/p_2.tif", "p/p_10.tif", "q/7.png", "q/11.png", "r/x.png"
    )
    assert image_files.group_volumes(reversed(files)) == {
        str(tmp_path / "p"): files[:2],
        str(tmp_path / "q"): files[2:4],
        str(tmp_path / "r"): files[4:],
    }


def test_patients_that_share_a_folder_are_volumes_of_their_own(tmp_path):
    names = ("TCGA_CS_1_2.tif", "TCGA_CS_1_10.tif", "TCGA_CS_2_1.tif", "other.tif")
    files = _touch(tmp_path, *names)
    assert image_files.group_volumes(files) == {
        str(tmp_path / "TCGA_CS_1_*"): files[:2],
        str(tmp_path / "TCGA_CS_2_*"): files[2:3],
        str(tmp_path / "other.tif"): files[3:],
    }


def test_files_of_names_that_share_no_series_are_lone_slices(tmp_path):
    files = _touch(tmp_path, "anna.png", "ben.png", "carl_flair.png")
    found = image_files.group_volumes(files)
    assert found == {str(file): [file] for file in files}


def test_a_number_need_not_be_set_apart(tmp_path):
    names = ("scan2.png", "scan10.png", "knee-1.png", "knee-2.png", "7.png", "11.png")
    files = _touch(tmp_path, *names)
    assert image_files.group_volumes(files) == {
        str(tmp_path / "scan*"): files[:2],
        str(tmp_path / "knee-*"): files[2:4],
        str(tmp_path / "*"): files[4:],
    }


@pytest.mark.parametrize("ending", ["tif", "png"])
def test_colours_keep_their_order(tmp_path, ending):
    # Written by libraries that do not share our reader.
    path, picture = tmp_path / f"a.{ending}", _picture()
    if ending == "tif":
        tifffile.imwrite(path, picture, photometric="rgb")
    else:
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    np.testing.assert_array_equal(image_files.read_image(path, 3, "uint8"), picture)


def test_a_jpeg_keeps_its_colours_nearly(tmp_path):
    path = tmp_path / "a.jpg"
    bgr = cv2.cvtColor(_picture(64, 64), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])
    corner = image_files.read_image(path, 3, "uint8")[0, 0].astype(int)
    assert corner[0] > 230 and corner[1:].max() < 20  # red, as drawn


def test_planar_and_compressed_tiffs_are_read(tmp_path):
    picture = _picture()
    planes = np.moveaxis(picture, -1, 0)
    tifffile.imwrite(
        tmp_path / "planar.tif", planes, photometric="rgb", planarconfig="separate"
    )
    # OpenCV writes LZW, which tifffile alone does not decode.
    cv2.imwrite(str(tmp_path / "lzw.tif"), picture[..., ::-1])
    for name in ("planar.tif", "lzw.tif"):
        np.testing.assert_array_equal(
            image_files.read_image(tmp_path / name, 3, "uint8"), picture
        )


def test_a_grey_picture_serves_a_model_of_one_channel(tmp_path):
    grey = np.arange(192, dtype=np.uint8).reshape(12, 16)
    tifffile.imwrite(tmp_path / "a.tif", grey)
    np.testing.assert_array_equal(
        image_files.read_image(tmp_path / "a.tif", 1, "uint8"), grey[..., None]
    )


def _write_channels(path: Path, image: np.ndarray, **options) -> None:
    """By a library that does not share our reader."""
    if path.suffix == ".png":
        PIL.Image.fromarray(image).save(path)
    else:
        options = {"photometric": "minisblack", "planarconfig": "contig"} | options
        tifffile.imwrite(path, image, **options)


MANY = np.random.default_rng(0).integers(0, 255, (12, 16, 5), np.uint8)
RGB = {"photometric": "rgb"}


@pytest.mark.parametrize(
    "name, channels, options",
    [
        ("a.png", 2, {}),
        ("a.png", 4, {}),
        ("a.tif", 2, {}),
        ("a.tif", 3, {}),
        ("a.tif", 4, {}),
        ("a.tif", 5, {}),
        ("a.tif", 4, {**RGB, "extrasamples": ["unassalpha"]}),
        ("a.tif", 4, {**RGB, "extrasamples": ["assocalpha"]}),
        ("a.tif", 4, {**RGB, "compression": "zlib"}),
    ],
)
def test_as_many_channels_as_the_model_needs_are_read(
    tmp_path, name, channels, options
):
    path, image = tmp_path / name, MANY[..., :channels]
    _write_channels(path, image, **options)
    np.testing.assert_array_equal(
        image_files.read_image(path, channels, "uint8"), image
    )
    with pytest.raises(image_files.UnreadableImage, match="alpha|channels"):
        image_files.read_image(path, 1, "uint8")


def test_channels_in_planes_are_read(tmp_path):
    planes = np.moveaxis(MANY[..., :4], -1, 0)
    _write_channels(tmp_path / "a.tif", planes, planarconfig="separate")
    found = image_files.read_image(tmp_path / "a.tif", 4, "uint8")
    np.testing.assert_array_equal(found, MANY[..., :4])


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.95])
def test_a_truncated_tiff_of_many_channels_is_refused(tmp_path, share):
    path = tmp_path / "a.tif"
    _write_channels(path, MANY[..., :4])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(image_files.UnreadableImage, match="cannot be decoded"):
        image_files.read_image(path, 4, "uint8")


ALPHA = np.dstack([_picture(), np.full((12, 16), 255, np.uint8)])
REFUSED = {
    "grey.png": (_picture()[..., 0], r"has 1 channel \(grey\).*needs 3 channels"),
    "deep.tif": (_picture().astype(np.uint16) * 257, "uint16.*needs uint8"),
    "deep.png": (_picture().astype(np.uint16) * 257, "uint16.*needs uint8"),
    "real.tif": (_picture()[..., 0].astype(np.float32), "float32.*needs uint8"),
    "alpha.png": (ALPHA, "alpha.*Save it without"),
    "pages.tif": (np.stack([_picture()] * 3), "holds 3 pages.*Save each page"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_model_was_not_trained_on_is_refused(tmp_path, name):
    pixels, sentence = REFUSED[name]
    path = tmp_path / name
    if name.endswith("tif"):
        colours = "rgb" if pixels.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(path, pixels, photometric=colours)
    else:
        cv2.imwrite(str(path), pixels)
    with pytest.raises(image_files.UnreadableImage, match=sentence) as error:
        image_files.read_image(path, 3, "uint8")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_what_a_model_of_16_bits_was_trained_on_is_read(tmp_path, ending):
    path, deep = tmp_path / f"deep.{ending}", _picture()[..., 0].astype(np.uint16) * 257
    cv2.imwrite(str(path), deep)
    np.testing.assert_array_equal(
        image_files.read_image(path, 1, "uint16"), deep[..., None]
    )
    with pytest.raises(image_files.UnreadableImage, match="uint16.*needs int16"):
        image_files.read_image(path, 1, "int16")


def test_a_colour_picture_is_refused_by_a_model_of_one_channel(tmp_path):
    image_files.write_png(tmp_path / "a.png", _picture())
    with pytest.raises(
        image_files.UnreadableImage, match=r"a\.png has 3 channels \(RGB\)"
    ):
        image_files.read_image(tmp_path / "a.png", 1, "uint8")


@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_refused_by_name(tmp_path, ending, share):
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    content = cv2.imencode(ending, picture)[1].tobytes()
    path = tmp_path / f"cut{ending}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        image_files.UnreadableImage, match=rf"cut\{ending} cannot be decoded"
    ):
        image_files.read_image(path, 3, "uint8")


def test_a_mask_is_written_with_its_values_and_nothing_else(tmp_path):
    mask = np.array([[0, 1, 4], [255, 2, 0]], np.uint8)
    path = image_files.write_mask(tmp_path / "new" / "a_mask.png", mask)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), mask)
    assert [file.name for file in path.parent.iterdir()] == ["a_mask.png"]


def test_a_mask_of_probabilities_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png: a mask is uint8.*float64 \(2, 2\)"):
        image_files.write_mask(tmp_path / "a.png", np.zeros((2, 2)))


def test_a_png_under_another_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tif would hold a PNG"):
        image_files.write_mask(tmp_path / "a.tif", np.zeros((2, 2), np.uint8))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = image_files.write_mask(tmp_path / "a.png", np.ones((2, 2), np.uint8))
    before = path.read_bytes()

    def full_disk(file: Path, content: bytes) -> int:
        with open(file, "wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        image_files.write_mask(path, np.zeros((2, 2), np.uint8))
    assert os.listdir(tmp_path) == ["a.png"] and path.read_bytes() == before


def test_overlay_paints_the_mask_and_nothing_else():
    mask = np.zeros((12, 16), bool)
    mask[3:8, 5:11] = True
    painted = image_files.overlay(_picture(), mask, (255, 0, 0))
    assert (painted[mask] == (255, 0, 0)).all()
    np.testing.assert_array_equal(painted[~mask], _picture()[~mask])


def test_an_outline_leaves_the_inside():
    mask = np.zeros((6, 6), bool)
    mask[0:4, 1:5] = True  # touches the upper edge, which counts as border
    painted = image_files.overlay(
        np.zeros((6, 6, 3), np.uint8), mask, (0, 255, 0), outline=True
    )
    border = mask.copy()
    border[1:3, 2:4] = False
    np.testing.assert_array_equal(painted[..., 1], np.where(border, 255, 0))


def test_opacity_mixes_colour_and_image():
    image = np.full((1, 1, 3), 100, np.uint8)
    painted = image_files.overlay(
        image, np.ones((1, 1), bool), (200, 0, 0), opacity=0.25
    )
    assert painted.tolist() == [[[125, 75, 75]]]  # 3/4 of 100, and 1/4 of the colour


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\) does not fit.*\(12, 16\)"):
        image_files.overlay(_picture(), np.zeros((3, 3), bool), (255, 0, 0))


def test_display_keeps_colours_and_repeats_grey():
    np.testing.assert_array_equal(image_files.display(_picture()), _picture())
    for channels in (1, 4):
        many = np.zeros((2, 2, channels), np.uint8)
        many[..., 0] = 7
        np.testing.assert_array_equal(image_files.display(many), np.full((2, 2, 3), 7))


def test_8_bits_stay_as_they_are_and_others_are_stretched():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    np.testing.assert_array_equal(image_files.as_8_bits(image), image)
    found = image_files.as_8_bits(image.astype(np.int16) * 300 - 5000)
    # From the value of rank 0.99 to that of rank 98.5 of 0 to 99; here rank 50 of them.
    assert found.dtype == np.uint8 and found.min() == 0 and found.max() == 255
    assert found.reshape(-1)[50] == round(255 * (50 - 0.99) / (98.505 - 0.99))


def test_a_constant_image_is_black():
    assert not image_files.as_8_bits(np.full((3, 3, 1), 7.0)).any()
