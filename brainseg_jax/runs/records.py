"""What a checkpoint says of its run beside the weights, as plain JSON."""

import hashlib
from typing import Any

from brainseg_jax import files
from brainseg_jax.runs import run_folder
from brainseg_jax.runs.build import Run
from brainseg_jax.training import optimisers
from brainseg_jax.training.state import TrainState, count

Record = dict[str, Any]


def data_of(run: Run) -> Record:
    """The data set a run is trained on, down to the examples."""
    info = run.training.info
    keys = "\n".join(run.training.keys)
    return {
        "name": info.name,
        "version": info.version,
        "classes": info.classes,
        "painting": [list(pair) for pair in info.painting],
        "labels": list(info.labels),
        "channels": list(info.channels),
        "folds": info.folds,
        "synthetic": info.synthetic,
        "training_keys_sha256": hashlib.sha256(keys.encode()).hexdigest(),
    }


def refuse_known_patients(run: Run, earlier: list[str]) -> None:
    """Weights that have seen a patient cannot be validated or tested on them."""
    options = run.config.data
    scored = {
        patient
        for patient, fold in run.training.info.folds.items()
        if f"fold_{fold}" in f"{options.validation}+{options.test}".split("+")
    }
    if known := sorted(scored & set(earlier)):
        raise ValueError(
            f"config.init_from={run.config.init_from} was trained on {len(known)} "
            f"patients of the validation or test split ({', '.join(known[:3])}...); "
            "name folds that it has not seen."
        )


def new_record(run: Run, state: TrainState, earlier: list[str]) -> Record:
    """What a checkpoint says beside its weights; `_MOVING` is what changes later."""
    return {
        "config": run.config.to_dict(),
        "data": data_of(run),
        "note": run.note,
        "trained_patients": sorted({*run.training.patients, *earlier}),
        "parameters": count(state.params),
        "batch_statistics": count(state.batch_stats),
        "environment": run_folder.environment(),
        "epoch": 0,
        "sums": {},
        "scores": {},
        "history": [],
        "best_score": None,
        "best_epoch": None,
        "waited": 0,
        "plateau": list(optimisers.Plateau()),
    }


def describe(run: Run, record: Record) -> None:
    """Writes what a reader needs to understand the run without the code."""
    still = {key: value for key, value in record.items() if key not in _MOVING}
    files.write_json(run.folder / "config.json", still)


_MOVING = frozenset(
    (
        "epoch",
        "sums",
        "scores",
        "history",
        "best_score",
        "best_epoch",
        "waited",
        "plateau",
    )
)
