"""Masks as DICOM segmentations of the images that they are of, by highdicom."""

import importlib.metadata
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from brainseg_jax import files
from brainseg_jax.data.dicom_files import NEEDS_EXTRA
from brainseg_jax.data.image_files import UnreadableImage

try:
    import highdicom
    from pydicom.sr.codedict import codes
except ImportError:
    highdicom: Any = None  # type: ignore[no-redef]

NAME = "brainseg_jax"


def write(
    path: Path,
    labels: UInt8[np.ndarray, "n h w"],
    sources: Sequence[Any],
    names: Mapping[int, str],
) -> Path:
    """A segment for each label that there is, of one slice for each source dataset.

    `names` are of labels; without any label there is one empty segment.

    Raises:
        ValueError: if highdicom is not installed.
        UnreadableImage: if a source's header lacks what is needed.
    """
    if highdicom is None:
        raise ValueError(NEEDS_EXTRA.format(path))
    there = [int(label) for label in np.unique(labels) if label] or [*names][:1]
    numbered = np.zeros_like(labels)
    for number, label in enumerate(there, start=1):
        numbered[labels == label] = number
    try:
        content = _encoded(numbered, sources, there, names)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UnreadableImage(
            f"{path.name}: its source lacks what a DICOM segmentation needs ({error}). "
            "Export it again with all of its header, or as NIfTI."
        ) from error
    return files.write_atomically(path, content)


def _encoded(
    numbered: UInt8[np.ndarray, "n h w"],
    sources: Sequence[Any],
    there: Sequence[int],
    names: Mapping[int, str],
) -> bytes:
    """A file's content; values of `numbered` are places of labels, from 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the scanner left out of its own files
        made = highdicom.seg.Segmentation(
            source_images=list(sources),
            pixel_array=numbered,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _described(number, names.get(label, f"label {label}"))
                for number, label in enumerate(there, start=1)
            ],
            series_instance_uid=highdicom.UID(),
            series_number=1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=NAME,
            manufacturer_model_name=NAME,
            software_versions=importlib.metadata.version(NAME),
            device_serial_number="0",
            series_description="Predicted tumour, not for diagnosis",
            omit_empty_frames=bool(numbered.any()),
        )
        content = io.BytesIO()
        made.save_as(content)
    return content.getvalue()


def _described(number: int, name: str) -> Any:
    """A segment that an algorithm has found."""
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=NAME,
            version=importlib.metadata.version(NAME),
            family=codes.DCM.ArtificialIntelligence,
        ),
    )
