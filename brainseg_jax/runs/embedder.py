"""Slices of any size as vectors, by a run's best model, many at a time over all devices."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from brainseg_jax import parallel
from brainseg_jax.data import neighbours
from brainseg_jax.inference import embedding, scoring
from brainseg_jax.runs.restore import Restored


class Embedder(NamedTuple):
    """Vectors are of length 1: see inference/embedding.py."""

    size: int  # slices at a time
    # (up to `size` images, their four numbers per channel) -> [n, f]
    embed: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], np.ndarray]


def make_embedder(restored: Restored, most: int) -> Embedder:
    """Of up to `most` slices at a time, or as many as are evaluated; compiled once."""
    config, parts = restored.record.about.settings, restored.parts
    devices = parallel.local_devices(config.parallel.mode)
    size = scoring.fitting(min(most, config.evaluation.batch_size), devices)
    space, reach = tuple(config.data.size), config.data.neighbours
    variables = devices.replicate(restored.variables)

    def step(variables: Any, resident: Any, batch: dict[str, Any]) -> Any:
        del resident
        return embedding.embed(
            variables, batch["image"], batch["scaling"], model=parts.model
        )

    run = devices.eval_step(step)

    def embed(
        images: Sequence[np.ndarray], scaling: Sequence[np.ndarray]
    ) -> np.ndarray:
        fitted = [neighbours.resize(image, space, reach) for image in images]
        places = [min(k, len(images) - 1) for k in range(size)]  # the last fills up
        batch = {
            "image": np.stack([fitted[k] for k in places]),
            "scaling": np.stack([scaling[k] for k in places]),
        }
        vectors = devices.gather(run(variables, {}, devices.shard(batch)))
        return np.asarray(vectors)[: len(images)]

    return Embedder(size, embed)
