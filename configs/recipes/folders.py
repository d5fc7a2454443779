"""Class folders that are published or synthetic; each changes a config in place."""

from ml_collections import ConfigDict


def four_classes(config: ConfigDict) -> None:
    """JPEGs of system 004 in Training and Testing, without a word of whose they are.

    Slices of a patient may be on both sides of every split, and each table says so.
    """
    config.data.name = "folder/four_classes"
    config.data.folder.layout = "classes"
    config.data.folder.channels = ("red", "green", "blue")
    config.data.folder.labels = (
        "glioma_tumor",
        "no_tumor",
        "meningioma_tumor",
        "pituitary_tumor",
    )
    config.data.folder.one_patient_per_file = True


def phantom_classes(config: ConfigDict) -> None:
    """Synthetic slices of three kinds of tumour, of 30 patients."""
    config.data.name = "folder/phantom_classes"
    config.data.folder.layout = "classes"
    config.data.folder.channels = ("grey",)
    config.data.folder.labels = ("meningioma", "glioma", "pituitary")
    config.data.folder.patient = "(?P<patient>[^/_]+)_[^/]*$"
    config.data.folder.one_patient_per_file = False
