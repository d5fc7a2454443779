"""How far a patient's slices lie from the training slices, as the net itself sees them.

A slice is as far as the k-th nearest of some training slices, by the cosine distance of
their vectors (inference/embedding.py; Sun et al. 2022, arXiv 2204.06507), a patient as far
as the median of some slices. Patients of the validation split, which were not trained on,
say how far is usual. Nothing here says that a prediction is right.
"""

import functools
import io
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float

from brainseg_jax import files
from brainseg_jax.data import damage, profiles
from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import retrieval
from brainseg_jax.runs.embedder import Embedder, make_embedder
from brainseg_jax.runs.pictures import Unlike
from brainseg_jax.runs.restore import Restored

FILE = "familiarity.npz"  # beside the checkpoints
PATIENTS, NEIGHBOURS = 64, 5  # patients of the training split at most; k


class Familiarity(NamedTuple):
    """Vectors of training slices, and how far validation patients are from them."""

    vectors: Float[np.ndarray, "m f"]
    usual: tuple[float, float]  # the least and the most

    @property
    def most(self) -> float:
        """Beyond the usual by half of its range, as profiles.unlike has it."""
        low, high = self.usual
        return high + profiles.BEYOND * (high - low)


def measure(
    embedder: Embedder, training: Source, validation: Source
) -> Familiarity | None:
    """None where fewer than two validation patients say what is usual."""
    known = np.concatenate(_vectors(embedder, training))
    usual = [distance(known, own) for own in _vectors(embedder, validation)]
    return Familiarity(known, (min(usual), max(usual))) if len(usual) > 1 else None


def distance(
    known: Float[np.ndarray, "m f"], vectors: Float[np.ndarray, "n f"]
) -> float:
    """Of one patient's slices."""
    k = min(NEIGHBOURS, len(known)) - 1
    apart = np.partition(retrieval.cosine_distances(vectors, known), k, axis=1)
    return float(np.median(apart[:, k]))


def judge_of(
    workdir: str | pathlib.Path, restored: Restored, whose: str = "the model"
) -> tuple[Unlike | None, dict[str, Any]]:
    """What tells that pictures are far off, and by what, as predictions.json has it.

    None where nobody measured what is usual; `whose` is what the model is called.
    """
    found = read(workdir, restored.record.step)
    if found is None:
        return None, {"usual_distance": None}
    embedder = make_embedder(restored, profiles.SLICES)
    judge = functools.partial(unlike, found, embedder, whose=whose)
    return judge, {"usual_distance": found.usual}


def unlike(
    found: Familiarity,
    embedder: Embedder,
    images: Sequence[np.ndarray],
    scaling: Sequence[np.ndarray],
    *,
    whose: str = "the model",
) -> tuple[str, ...]:
    """What is said of a patient whose slices the net sees as unlike all of training.

    A lone slice is not judged: those at the ends of a head are unlike most.
    """
    if len(images) < 2:
        return ()
    places = profiles.spread(range(len(images)), profiles.SLICES)
    own = embedder.embed([images[k] for k in places], [scaling[k] for k in places])
    far = distance(found.vectors, own)
    if far <= found.most:
        return ()
    return (
        f"unlike the training images: its distance from them, as {whose} sees them, is "
        f"{far:.3g}, that of validation patients {found.usual[0]:.3g} to "
        f"{found.usual[1]:.3g}",
    )


def write(workdir: str | pathlib.Path, step: int, found: Familiarity) -> pathlib.Path:
    """Of the checkpoint that was saved at `step`."""
    content = io.BytesIO()
    np.savez(content, vectors=found.vectors, usual=found.usual, step=step)
    return files.write_atomically(pathlib.Path(workdir) / FILE, content.getvalue())


def read(workdir: str | pathlib.Path, step: int) -> Familiarity | None:
    """None where there is none, or it is of another checkpoint.

    Raises:
        ValueError: if it is damaged.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as kept:
            low, high = kept["usual"]
            found = Familiarity(kept["vectors"], (float(low), float(high)))
            of = int(kept["step"])
    except damage.DAMAGE as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it, or measure anew with "
            "--mode=postprocess."
        ) from error
    if of != step:
        logging.warning(
            "%s is of the checkpoint of step %s, and the best is now of step %s: nobody is "
            "told to be far from the training images. --mode=postprocess measures anew.",
            path,
            of,
            step,
        )
        return None
    return found


def _vectors(embedder: Embedder, source: Source) -> list[np.ndarray]:
    """Of some slices of some patients, an array for each patient."""
    patients = list(dict.fromkeys(source.patients))
    found = []
    for place in profiles.spread(range(len(patients)), PATIENTS):
        own = [k for k, who in enumerate(source.patients) if who == patients[place]]
        chosen = profiles.spread(own, profiles.SLICES)
        images = [source.seen(k)[0] for k in chosen]
        found.append(embedder.embed(images, [source.scaling[k] for k in chosen]))
    return found
