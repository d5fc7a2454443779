"""Images and volumes of every kind come back from a data set bit for bit."""

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from brainseg_jax.data import pixels as reading
from datasets import pixels as storing

KINDS = {
    **{
        f"{channels}_of_{dtype}": ((5, 7, channels), (5, 7, channels), dtype)
        for channels in (1, 2, 3, 4, 5)
        for dtype in ("uint8", "uint16")
    },
    "any_size": ((5, 7, 4), (None, None, 4), "uint8"),
    "any_size_of_two": ((5, 7, 2), (None, None, 2), "uint8"),
    "real": ((5, 7, 3), (5, 7, 3), "float32"),
    "volume": ((4, 5, 7, 1), (4, 5, 7, 1), "int16"),
    "volume_of_any_size": ((4, 5, 7, 4), (None, None, None, 4), "int16"),
}


def arrays():
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 2**31, shape).astype(dtype)
        for name, (shape, _, dtype) in KINDS.items()
    }


class Kinds(tfds.core.GeneratorBasedBuilder):
    """One example that holds an array of every kind."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            name: storing.feature(declared, dtype)
            for name, (_, declared, dtype) in KINDS.items()
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"whole": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {name: storing.encode(array) for name, array in arrays().items()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    builder = Kinds(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    return tfds.builder_from_directory(builder.data_path)


@pytest.mark.parametrize("name", KINDS)
def test_plain_tfds_reads_what_was_stored(built, name):
    (example,) = built.as_data_source("whole")
    assert example[name].dtype == KINDS[name][2]
    np.testing.assert_array_equal(example[name], arrays()[name])


@pytest.mark.parametrize("name", KINDS)
def test_our_reading_gives_what_was_stored(built, name):
    skip = {name: tfds.decode.SkipDecoding() for name in KINDS}
    (example,) = built.as_data_source("whole", decoders=skip)
    found = reading.decode(example[name], built.info.features[name])
    assert found.dtype == KINDS[name][2]
    np.testing.assert_array_equal(found, arrays()[name])


def test_only_what_fits_is_a_png(built):
    images = {
        name
        for name, feature in built.info.features.items()
        if isinstance(feature, tfds.features.Image)
    }
    plain = {f"{c}_of_{t}" for c in (1, 3, 4) for t in ("uint8", "uint16")}
    assert images == plain | {"any_size"}


def test_big_endian_pixels_are_the_same_pixels():
    # As NIfTI files of some scanners have them.
    array = arrays()["volume"]
    stored = storing.encode(array.astype(">i2"))
    assert stored.dtype == np.dtype("int16") and stored.dtype.isnative
    np.testing.assert_array_equal(stored, array)


def test_an_open_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="number of channels open"):
        storing.feature((None, None, None), np.uint8)


def test_a_damaged_image_is_refused(built):
    feature = built.info.features["3_of_uint8"]
    cut = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()[:20]
    with pytest.raises(ValueError, match="cannot be decoded"):
        reading.decode(cut, feature)
