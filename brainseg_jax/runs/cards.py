"""card.json of a run: how its predictions are mended, and what that did to its scores.

It lies beside the checkpoints, whose weights it never touches, and is replaced as a whole.
That of several runs as one lies in the first one's folder, under a name of its own, or in
the folder that stands for them. It names them as seen from there, so that it may be moved
with them.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import logging

from brainseg_jax import files
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import calibration

FILE = "card.json"
LEFT_OUT = "temperature_left_out"  # of a card: that which was fitted at an end
Step = int | Mapping[str, int]  # of a checkpoint; of several by seen_from


class Card(NamedTuple):
    """What a validation split chose; None where it was not asked."""

    rules: Rules
    threshold: float | None  # of masks of slices
    temperature: float | None  # of classes, or of masks of slices
    left_out: float | None = None  # a temperature whose fit did not converge

    @property
    def changes(self) -> bool:
        """Whether any prediction is another by it."""
        return self.rules != Rules() or {self.threshold, self.temperature} != {None}


def write(
    workdir: str | pathlib.Path,
    rules: Rules,
    step: Step,
    said: Mapping[str, Any],
    *,
    name: str = FILE,
) -> pathlib.Path:
    """Of the checkpoint that was saved at `step`; `said` are the scores it goes by."""
    card = {"checkpoint_step": step, "post_processing": rules._asdict(), **said}
    return files.write_json(pathlib.Path(workdir) / name, card)


def seen_from(home: str | pathlib.Path, folder: str | pathlib.Path) -> str:
    """The way to a folder: . for `home` itself, ../b for one beside it."""
    ends = pathlib.Path(folder).resolve(), pathlib.Path(home).resolve()
    return pathlib.Path(os.path.relpath(*ends)).as_posix()


def read(workdir: str | pathlib.Path, step: Step, *, name: str = FILE) -> Card | None:
    """What a card says; None where there is none, or it is of another checkpoint.

    Raises:
        ValueError: if it is damaged.
    """
    path = pathlib.Path(workdir) / name
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text())
        rules, of = Rules(**said["post_processing"]), said["checkpoint_step"]
        card = Card(rules, _number(said, "threshold"), *_temperature(said))
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it, or choose the post-processing anew "
            "with --mode=postprocess."
        ) from error
    if _seen_from(path.parent, of) != step:
        logging.warning(
            "%s is of the checkpoint of step %s, and the best is now of step %s: "
            "predictions are left as they are. --mode=postprocess chooses anew.",
            path,
            of,
            step,
        )
        return None
    if card.left_out is not None and "temperature" in said:  # of an earlier version
        logging.warning("%s: %s.", path, no_temperature(card.left_out))
    return card


def no_temperature(fitted: float) -> str:
    """Why a card has none, though one was fitted."""
    low, high = calibration.RANGE
    return (
        f"no temperature: its fit ended at {fitted:.3g}, an end of the range from {low:g} "
        f"to {high:g}, and probabilities stay as predicted"
    )


def _temperature(said: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """That which is taken, and that which is left out; earlier versions took any."""
    found = _number(said, "temperature")
    if found is not None and calibration.at_edge(found):
        return None, found
    return found, _number(said, LEFT_OUT)


def _seen_from(home: pathlib.Path, of: Step) -> Step:
    """Steps of several runs, which earlier versions named by their whole paths."""
    if isinstance(of, Mapping):
        return {seen_from(home, home / folder): step for folder, step in of.items()}
    return of


def _number(said: Mapping[str, Any], name: str) -> float | None:
    return float(said[name]) if name in said else None
