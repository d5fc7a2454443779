"""What is known of every stored example without reading it: index.npz of a data set.

datasets/index.py writes it and says what each array holds.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from brainseg_jax.data import damage
from brainseg_jax.data.normalise import Statistics
from brainseg_jax.data.tallies import Tally

FILE = "index.npz"


@dataclasses.dataclass(frozen=True)
class Index:
    """All examples of a data set, of all its splits."""

    keys: list[str]
    patients: list[str]
    volumes: list[str]  # what an example is normalised with
    slices: list[int]
    splits: list[str]
    records: list[int]  # places in their splits
    labels: Int32[np.ndarray, " n"]
    shapes: list[tuple[int, ...]]  # spatial
    foreground: Bool[np.ndarray, " n"]  # whether there is any
    places: list[Int[np.ndarray, "k d"]]  # some of it
    place_labels: list[Int[np.ndarray, " k"]]
    statistics: Statistics
    spacings: dict[str, Float[np.ndarray, " d"]]  # volume -> mm; NaN where not known
    affines: dict[str, Float[np.ndarray, "4 4"]]

    def __len__(self) -> int:
        return len(self.keys)

    def usual_spacing(self, rows: Sequence[int]) -> tuple[float, ...]:
        """The median of some examples' on each axis; () where none is known."""
        of_rows = np.array([self.spacings[self.volumes[row]] for row in rows])
        known = of_rows[np.isfinite(of_rows).all(axis=1)]
        return tuple(np.median(known, axis=0).tolist()) if len(known) else ()


def read_index(folder: str | pathlib.Path) -> Index:
    """Of the data set in `folder`; one prepared by an older version has none.

    Raises:
        FileNotFoundError: if there is no index; says how to get one.
        ValueError: if it is damaged.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} was prepared by an older version of the builder and has no "
            f"{FILE}. Prepare it again with `python main.py --mode=prepare "
            "--config=...`: the new version lies beside this one, with the same examples "
            "and folds."
        )
    with damage.named(path):
        # Opened here: NumPy leaves a damaged one open.
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return _index_of(arrays)


def _index_of(arrays: dict[str, np.ndarray]) -> Index:
    names = arrays["volume_name"].tolist()
    place_of = {name: place for place, name in enumerate(names)}
    volumes = arrays["volume"].tolist()
    ends = np.cumsum(arrays["place_count"])[:-1]
    return Index(
        keys=arrays["key"].tolist(),
        patients=arrays["patient"].tolist(),
        volumes=volumes,
        slices=arrays["slice"].tolist(),
        splits=arrays["split"].tolist(),
        records=arrays["record"].tolist(),
        labels=arrays["label"].astype(np.int32),
        shapes=[tuple(shape) for shape in arrays["shape"].tolist()],
        foreground=arrays["place_count"] > 0,
        places=np.split(arrays["place"], ends),
        place_labels=np.split(arrays["place_label"], ends),
        statistics=Statistics(
            dtype=np.dtype(str(arrays["dtype"])),
            mean=arrays["mean"],
            variance=arrays["variance"],
            volume=np.array([place_of[name] for name in volumes]),
            tallies=_tallies(arrays),
        ),
        spacings=dict(zip(names, arrays["spacing"], strict=True)),
        affines=dict(zip(names, arrays["affine"], strict=True)),
    )


def _tallies(arrays: dict[str, np.ndarray]) -> list[list[Tally]]:
    """Of each volume and channel."""
    volumes, channels = arrays["value_count"].shape
    ends = np.cumsum(arrays["value_count"].reshape(-1))[:-1]
    values, counts = (np.split(arrays[name], ends) for name in ("value", "count"))
    flat = list(map(Tally, values, counts))
    return [flat[k * channels : (k + 1) * channels] for k in range(volumes)]
