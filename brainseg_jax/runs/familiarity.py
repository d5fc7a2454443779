"""How far a patient's slices or volumes lie from those of training, as the net sees them.

One is as far as the k-th nearest of some of training, by the cosine distance of their
vectors (inference/embedding.py; Sun et al. 2022, arXiv 2204.06507), a patient as far as the
median of some. Patients of the validation split, which were not trained on, say how far is
usual. Of several models as one each is asked by itself, for its own training and validation
patients are others'. Nothing here says that a prediction is right.
"""

import functools
import io
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import damage, profiles
from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import retrieval
from brainseg_jax.runs import ensembles, restore
from brainseg_jax.runs.embedder import Embedder, make_embedder
from brainseg_jax.runs.pictures import Unlike
from brainseg_jax.runs.restore import Restored

FILE = "familiarity.npz"  # beside the checkpoints
PATIENTS, NEIGHBOURS = 64, 5  # patients of the training split at most; k
SMALLEST = 1e-6  # range of distances, below which they are rounding


class Familiarity(NamedTuple):
    """Vectors of training examples, and how far validation patients are from them."""

    vectors: Float[np.ndarray, "m f"]
    usual: tuple[float, float]  # the least and the most

    @property
    def most(self) -> float:
        """Beyond the usual by half of its range, as profiles.unlike has it."""
        low, high = self.usual
        return high + profiles.BEYOND * (high - low)

    def standing(self, far: float) -> float:
        """Of a distance, on a scale on which validation patients lie from 0 to 1."""
        low, high = self.usual
        return (far - low) / max(high - low, SMALLEST)


class Judge(NamedTuple):
    """What tells that images are far off, and by what, as predictions.json has it.

    None where nobody measured what is usual.
    """

    unlike: Unlike | None
    measured: dict[str, Any]


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
    """Of one patient's slices or volumes."""
    k = min(NEIGHBOURS, len(known)) - 1
    apart = np.partition(retrieval.cosine_distances(vectors, known), k, axis=1)
    return float(np.median(apart[:, k]))


def judge_of(
    workdir: str | pathlib.Path, restored: Restored, whose: str = "the model"
) -> Judge:
    """Of a run, or of several as one; `whose` is what the model is called."""
    found = read_all(workdir, restored.record.step)
    if not found:
        return Judge(None, {"usual_distance": None})
    nets = [
        (one, make_embedder(net, profiles.SLICES))
        for one, net in zip(found, ensembles.parted(restored), strict=True)
    ]
    usual = [one.usual for one in found]
    return Judge(
        functools.partial(unlike, nets, whose=whose),
        {"usual_distance": usual if len(usual) > 1 else usual[0]},
    )


def unlike(
    nets: Sequence[tuple[Familiarity, Embedder]],
    images: Sequence[np.ndarray],
    scaling: Sequence[np.ndarray],
    *,
    whose: str = "the model",
) -> tuple[str, ...]:
    """What is said of a patient whose images the nets see as unlike all of training.

    A lone slice is not judged: those at the ends of a head are unlike most.
    """
    if len(images) < 2 and images[0].ndim == 3:
        return ()
    places = profiles.spread(range(len(images)), profiles.SLICES)
    some = [images[k] for k in places], [scaling[k] for k in places]
    far = [distance(one.vectors, embedder.embed(*some)) for one, embedder in nets]
    if len(nets) == 1:
        return _said_by_one(nets[0][0], far[0], whose)
    standing = float(
        np.mean([one.standing(own) for (one, _), own in zip(nets, far, strict=True)])
    )
    if standing <= 1 + profiles.BEYOND:
        return ()
    return (
        f"unlike the training images: its distance from them, as {whose} sees them, is "
        f"{standing:.3g}, mean of {len(nets)} nets, of each of which that of validation "
        "patients is 0 to 1",
    )


def _said_by_one(found: Familiarity, far: float, whose: str) -> tuple[str, ...]:
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


def read_all(workdir: str | pathlib.Path, step: int) -> list[Familiarity]:
    """Of a run, whose checkpoint is of `step`, or of every one of several; else none.

    Raises:
        ValueError: if one is damaged.
    """
    runs = ensembles.runs_of(workdir)
    if len(runs) == 1:
        found = [read(runs[0], step)]
    else:
        found = [read(run, restore.read_best(run).step) for run in runs]
    known = [one for one in found if one is not None]
    if 0 < len(known) < len(runs):
        logging.warning(
            "%d of %d models have no %s of their best checkpoint: nobody is told to be far "
            "from the training images. --mode=postprocess measures it.",
            len(runs) - len(known),
            len(runs),
            FILE,
        )
    return known if len(known) == len(runs) else []


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
    """Of some examples of some patients, an array for each patient."""
    patients = list(dict.fromkeys(source.patients))
    found = []
    some = profiles.spread(range(len(patients)), PATIENTS)
    for place in track(some, "embedding", transient=True):
        own = [k for k, who in enumerate(source.patients) if who == patients[place]]
        chosen = profiles.spread(own, profiles.SLICES)
        images = [source.seen(k)[0] for k in chosen]
        found.append(embedder.embed(images, [source.scaling[k] for k in chosen]))
    return found
