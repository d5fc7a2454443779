"""Vectors of every example of a split, kept in the run's folder until either changes."""

import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import damage, reading
from brainseg_jax.data.sources import Source
from brainseg_jax.runs.embedder import Embedder

FOLDER = "embeddings"  # in the run's folder


def of_split(
    embedder: Embedder,
    source: Source,
    split: str,
    workdir: str | pathlib.Path,
    made_by: Mapping[str, Any],
) -> np.ndarray:
    """[n, f] in the split's order: as kept, or computed now and kept.

    `made_by` says which weights they are of. A file of other weights, of another version
    of the data, or a damaged one is replaced.
    """
    info = source.info
    keys = hashlib.sha256("\n".join(source.keys).encode()).hexdigest()
    known = {**made_by, "data": info.name, "version": info.version, "keys_sha256": keys}
    said = json.dumps(known, sort_keys=True)
    name = f"{info.name}_{split}".replace("/", "_").replace("+", "_")
    path = pathlib.Path(workdir) / FOLDER / f"{name}.npz"
    if (kept := _read(path, said)) is not None:
        return kept
    vectors = _compute(embedder, source)
    content = io.BytesIO()
    np.savez(content, vectors=vectors, made_by=said)
    files.write_atomically(path, content.getvalue())
    return vectors


def _read(path: pathlib.Path, said: str) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as kept:
            return kept["vectors"] if str(kept["made_by"]) == said else None
    except damage.DAMAGE as error:
        logging.warning(
            "%s is damaged (%s): its vectors are computed anew.", path, error
        )
        return None


def _compute(embedder: Embedder, source: Source) -> np.ndarray:
    """Batch by batch, with a bar; of the split no more than a few batches are in memory.

    Examples that keep their size, as volumes do, come one by one.
    """
    plain = dataclasses.replace(source, fit=dataclasses.replace(source.fit, target=""))
    if not plain.fit.size:
        each = reading.whole_examples(plain)
        shown = track(each, "embedding", total=len(plain), transient=True)
        return np.concatenate(
            [embedder.embed([one["image"]], [one["scaling"]]) for one in shown]
        )
    total = len(reading.evaluation_order(plain, embedder.size))
    batches = reading.evaluation_batches(plain, embedder.size, resident=False)
    vectors: np.ndarray | None = None
    for batch in track(batches, "embedding", total=total, transient=True):
        found = embedder.embed(list(batch["image"]), list(batch["scaling"]))
        if vectors is None:
            vectors = np.zeros((len(source), found.shape[1]), np.float32)
        valid = batch["valid"]
        vectors[batch["example"][valid]] = found[valid]
    assert vectors is not None  # a split has examples
    return vectors
