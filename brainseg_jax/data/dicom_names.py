"""Which files are DICOM: by their names, or by their content where they have no ending."""

from pathlib import Path

ENDINGS = (".dcm", ".dicom", ".ima")
MARK = b"DICM"  # behind 128 bytes of whatever


def is_dicom(path: Path) -> bool:
    """An ending that is a number is the last of a UID."""
    ending = path.suffix.lower()
    if ending in ENDINGS:
        return path.is_file()
    if (ending and not ending[1:].isdigit()) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == MARK
