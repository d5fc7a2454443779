"""Images of any size as vectors of length 1, by a run's best model or several as one.

What is seen in windows is the mean over all windows of their mean features. Of several
models as one see embedding.joined.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import neighbours
from brainseg_jax.inference import blending, embedding, scoring
from brainseg_jax.inference.windows import Windows
from brainseg_jax.runs import ensembles, experiment
from brainseg_jax.runs.restore import Restored

# (images, their four numbers per channel) -> [n, f]
Embed = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]


class Embedder(NamedTuple):
    """Vectors are of length 1: see inference/embedding.py."""

    size: int  # images at a time
    embed: Embed


def make_embedder(restored: Restored, most: int) -> Embedder:
    """Of up to `most` images at a time, or as many as are evaluated; compiled once."""
    members = [_of_one(one, most) for one in ensembles.parted(restored)]
    if len(members) == 1:
        return members[0]

    def embed(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> np.ndarray:
        found = [one.embed(images, scaling) for one in members]
        return np.asarray(embedding.joined(found))

    return Embedder(members[0].size, embed)


def _of_one(restored: Restored, most: int) -> Embedder:
    config = restored.record.about.settings
    if windows := experiment.windows_seen(config):
        return Embedder(1, _in_windows(restored, windows))
    devices = parallel.local_devices(config.parallel.mode)
    size = scoring.fitting(min(most, config.evaluation.batch_size), devices)
    return Embedder(size, _whole(restored, size, devices))


def _whole(restored: Restored, size: int, devices: parallel.Devices) -> Embed:
    """Of up to `size` images at the model's own size."""
    options = restored.record.about.settings.data
    space, reach = tuple(options.size), options.neighbours
    run, variables = _compiled(restored, embedding.embed, devices)

    def embed(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> np.ndarray:
        fitted = [neighbours.resize(image, space, reach) for image in images]
        places = [min(k, len(images) - 1) for k in range(size)]  # the last fills up
        batch = {
            "image": np.stack([fitted[k] for k in places]),
            "scaling": np.stack([scaling[k] for k in places]),
        }
        vectors = devices.gather(run(variables, {}, devices.shard(batch)))["vectors"]
        return np.asarray(vectors)[: len(images)]

    return embed


def _in_windows(restored: Restored, windows: Windows) -> Embed:
    """Of images as they are stored, one after the other."""
    devices = parallel.local_devices(restored.record.about.settings.parallel.mode)
    windows = windows._replace(batch=scoring.fitting(windows.batch, devices))
    run, variables = _compiled(restored, embedding.means, devices)

    def mean(image: np.ndarray, scaling: np.ndarray) -> np.ndarray:
        example = {"image": image, "scaling": scaling}
        found = blending.each_window(run, variables, example, windows, devices)
        return np.mean([one["vectors"] for _, one in found], 0)

    def embed(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> np.ndarray:
        means = np.stack([mean(*one) for one in zip(images, scaling, strict=True)])
        return np.asarray(embedding.of_length_1(means))

    return embed


def _compiled(
    restored: Restored, vectors: Callable[..., Any], devices: parallel.Devices
) -> tuple[Callable, Any]:
    """A step that gives the vectors of a batch, and the weights that it takes."""

    def step(variables: Any, resident: Any, batch: dict[str, Any]) -> dict[str, Any]:
        del resident
        image, scaling = batch["image"], batch["scaling"]
        model = restored.parts.model
        return {"vectors": vectors(variables, image, scaling, model=model)}

    return devices.eval_step(step), devices.replicate(restored.variables)
