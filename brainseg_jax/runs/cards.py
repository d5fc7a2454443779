"""card.json of a run: how its masks are mended, and what that did to its scores.

It lies beside the checkpoints, whose weights it never touches, and is replaced as a whole.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from brainseg_jax import files
from brainseg_jax.inference.post_processing import Rules

FILE = "card.json"


def write(
    workdir: str | pathlib.Path, rules: Rules, step: int, said: Mapping[str, Any]
) -> pathlib.Path:
    """Of the checkpoint that was saved at `step`; `said` are the scores it goes by."""
    card = {"checkpoint_step": step, "post_processing": rules._asdict(), **said}
    return files.write_json(pathlib.Path(workdir) / FILE, card)


def read(workdir: str | pathlib.Path, step: int) -> Rules | None:
    """The rules of a run; None where there are none, or they are of another checkpoint.

    Raises:
        ValueError: if the card is damaged.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text())
        rules, of = Rules(**card["post_processing"]), card["checkpoint_step"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it, or choose the post-processing anew "
            f"with --mode=postprocess --workdir={workdir}."
        ) from error
    if of != step:
        logging.warning(
            "%s is of the checkpoint of step %s, and the best is now of step %d: masks "
            "are left as they are. --mode=postprocess chooses anew.",
            path,
            of,
            step,
        )
        return None
    return rules if rules != Rules() else None
