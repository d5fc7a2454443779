"""Whether a model may be scored on a split, and which of its channels it sees there."""

from absl import logging

from brainseg_jax.data import leakage, sources
from brainseg_jax.data.info import Info
from brainseg_jax.runs.records import About


def check_kind(info: Info, trained: Info, fields: tuple[str, ...]) -> None:
    """A model can only be scored on channels and classes that it was trained with."""
    for what in fields:
        own, known = getattr(info, what), getattr(trained, what)
        if own != known:
            raise ValueError(
                f"{info.name} has the {what} {own}, the model was trained with "
                f"{known} of {trained.name}; it cannot be scored there."
            )


def check_spacing(info: Info, trained: Info) -> None:
    """Scores are of voxels as they are stored, which `predict` would resample.

    Of the model's own data set, whose volumes may differ, they are told of and scored.
    """
    if info.alike_spaced(trained):
        return
    own, known = (" x ".join(map(str, one.spacing)) for one in (info, trained))
    if info.name == trained.name:
        logging.warning(
            "Most voxels of this split are of %s mm, those trained on of %s mm: scored as "
            "stored, not resampled.",
            own,
            known,
        )
    else:
        raise ValueError(
            f"{info.name} has voxels of {own} mm, the model was trained on {known} mm of "
            f"{trained.name}. Scoring does not resample: resample the raw files to {known} "
            "mm and prepare them again, or write masks with --mode=predict, which does."
        )


def refuse_trained(
    source: sources.Source,
    about: About,
    split: str,
    remedy: str = "Choose another --split",
) -> None:
    if shared := leakage.known(source.patients, about.trained_patients):
        raise ValueError(
            f"{len(shared)} of {len(set(source.patients))} patients of {split} were "
            f"trained on ({', '.join(shared[:3])}...): its scores would say nothing of new "
            f"patients. {remedy}, or add --allow_contaminated."
        )


def channels(info: Info, trained: Info) -> tuple[str, ...]:
    """Those that the model takes, by name; all, to be refused, where some are missing."""
    return trained.channels if {*trained.channels} <= {*info.channels} else ()
