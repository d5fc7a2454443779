"""Small DICOM series as scanners write them, by pydicom."""

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1, 0, 0, 0, 1, 0)


def write_slice(
    path, image, *, position=(0.0, 0.0, 0.0), spacing=(1.0, 1.0), orientation=AXIAL,
    series=None, modality="MR", number=1, study=None, frame=None,
):  # fmt: skip
    """A grey image of 16 bits; spacing in mm down and across."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = MRImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID = study or generate_uid(entropy_srcs=[str(series)])
    made.SeriesInstanceUID = series or generate_uid()
    made.FrameOfReferenceUID = frame or generate_uid(entropy_srcs=["f", str(series)])
    made.PatientID, made.PatientName = "PHANTOM", "Phantom"
    made.PatientBirthDate = made.PatientSex = made.AccessionNumber = ""
    made.StudyDate = made.StudyTime = made.StudyID = made.ReferringPhysicianName = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = modality, 1, number
    made.Manufacturer, made.PositionReferenceIndicator = "phantom", ""
    made.Laterality = ""
    made.ImagePositionPatient = list(map(float, position))
    made.ImageOrientationPatient = list(map(float, orientation))
    made.PixelSpacing, made.SliceThickness = list(spacing), 1.0
    made.Rows, made.Columns = image.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = np.ascontiguousarray(image, "<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, volume, *, step=2.0, **options):
    """Slices [n, h, w] from below upwards, under names in another order."""
    series = generate_uid()
    count = len(volume)
    for place, image in enumerate(volume):
        write_slice(
            folder / f"{(7 * place) % count:03d}.dcm",
            image,
            position=(-10.0, -20.0, 5 + place * step),
            series=series,
            number=place + 1,
            **options,
        )
    return folder
