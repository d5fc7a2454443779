"""The first patients of the real samples that may lie beside the project."""

import importlib.util
import pathlib
import warnings

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"


def unpack_lgg(folder, monkeypatch, last="TCGA_CS_5397"):
    """Writes folder/kaggle_3m with the patients up to `last`."""
    spec = importlib.util.spec_from_file_location("unpack", SHARED / "unpack.py")
    unpack = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        spec.loader.exec_module(unpack)
    members = unpack.members

    def first_patients(archive):
        for path, data in members(archive):
            if path.suffix in {".png", ".webp"}:
                if path.parts[-2] > last:
                    return
                yield path, data

    monkeypatch.setattr(unpack, "members", first_patients)
    unpack.unpack_lgg(folder)
