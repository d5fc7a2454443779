"""predictions.csv and .json: written while results come, whole files at any time.

A second run into the same folder keeps what is done of unchanged files by the same model.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from brainseg_jax import files
from brainseg_jax.runs import hashes
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]
CSV, JSON = "predictions.csv", "predictions.json"
EVERY = 5.0  # seconds between two writings
# Of both tables; <...> stands for a name or number of the data set.
COLUMNS = {
    "file": "what was predicted; of a scan its files, `;` between them",
    "volume": "the patient, folder or case that it was normalised with",
    "class": "of a classifier or a net with two heads: the most probable class",
    "probability_<class>": "of each class, from 0 to 1",
    "mask": "the mask's file, with the labels of the data set",
    "pixels": "of a picture: how many are marked",
    "share": "of a picture: the share that is marked",
    "area_mm2": "of a picture whose spacing is known: what is marked",
    "true_pixels": "with `--truth`, of a picture: how many are marked in truth",
    "true_voxels": "the same of a scan",
    "true_and_marked": "and how many of them are marked",
    "dice": "and the Dice of all that is marked, whatever its label",
    "dice_<class>": "and of each of several classes",
    "voxels": "of a scan: how many are marked",
    "ml": "of a scan: millilitres that are marked",
    "ml_label_<label>": "of a scan: millilitres of each label",
    "lesions": "how many parts there are that do not touch",
    "boxes": "of each, the largest first: of a picture `left top width height` in pixels, "
    "of a scan `i j k` and the sizes along them in voxels of its file",
    "centroid": "of all together: `x y` in pixels, of a scan `x y z` in mm of its affine",
    "side": "of the largest: `left` or `right` of the patient where orientation is known, "
    "else `picture left` or `picture right`",
    "normalised_by": "of a picture: how many slices its intensities were normalised with",
    "missing": "of a scan: sequences without a file",
    "post_processed": "whether the mask was mended by the rules of the run's card",
    "fault": "of a scan: why it could not be predicted",
    "made_from": "of a scan: a fingerprint of its files, the weights and the request",
    "warnings": "what makes the prediction doubtful, of what is checked",
    "note": "what has to be said of the model's training",
}


class Results:
    """A context manager; leaving it, by an error too, writes what there is."""

    def __init__(self, folder: Path, made_by: Mapping[str, Any]):
        self._folder, self._made_by = folder, json.loads(json.dumps(made_by))
        self._rows = _read(folder / JSON, self._made_by)
        self._by_name = {_output_name(row): file for file, row in self._rows.items()}
        self._failed: dict[str, str] = {}
        self._saved = time.monotonic()

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rows or self._failed:
            self.save()

    @property
    def failed(self) -> Mapping[str, str]:
        """Files that could not be read, each with the reason."""
        return self._failed

    def rows(self, paths: Sequence[Path]) -> list[Row]:
        """Of these files, in this order, as far as they are done."""
        found = (self._rows.get(str(path)) for path in paths)
        return [_plain(row) for row in found if row is not None]

    def has(self, path: Path) -> bool:
        """Whether the file is as it was when it was predicted, and its mask still there."""
        row = self._rows.get(str(path))
        if row is None or row["stamp"] != stamp(path):
            return False
        return not row.get("mask") or (self._folder / row["mask"]).is_file()

    def add(self, path: Path, row: Row) -> None:
        """Other files' rows whose mask this one's replaces, by its name, are dropped."""
        name = _output_name(row)
        other = self._by_name.get(name, str(path))
        if other != str(path) and other in self._rows:
            del self._rows[other]
            logging.warning(
                "%s: the prediction of %s, of an earlier command, is replaced. Give each "
                "folder an --outputs of its own to keep both.",
                path,
                other,
            )
        self._rows[str(path)] = {**row, "stamp": stamp(path)}
        if name:
            self._by_name[name] = str(path)
        self._save_sometimes()

    def fail(self, path: Path, reason: str) -> None:
        self._rows.pop(str(path), None)
        self._failed[str(path)] = reason
        self._save_sometimes()

    def save(self) -> None:
        rows = list(self._rows.values())
        said = {
            "made_by": self._made_by,
            "predictions": rows,
            "failed": [{"file": f, "reason": why} for f, why in self._failed.items()],
        }
        # The table first: the JSON says what is done.
        write_table(self._folder, [_plain(row) for row in rows])
        files.write_json(self._folder / JSON, said)
        self._saved = time.monotonic()

    def _save_sometimes(self) -> None:
        """Rarely enough that thousands of rows take a small share of the time."""
        if time.monotonic() - self._saved > EVERY:
            self.save()


def made_by(restored: Restored, card: Card | None, also: Sequence[str] = ()) -> Row:
    """By which a second run knows whether it would write the same."""
    return {
        "weights_sha256": hashes.of_weights(restored.variables),
        "also": sorted(also),
        "card": card and _what_counts(card),
    }


def _what_counts(card: Card) -> Row:
    """What a card changes of predictions."""
    return {
        "rules": card.rules._asdict(),
        "threshold": card.threshold,
        "temperature": card.temperature,
    }


def stamp(path: Path) -> list[int]:
    """Size and time of a file, by which a changed one is known."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Both files, of all rows there are; those with a `fault` failed."""
    write_table(folder, rows)
    said = {
        "made_by": {},
        "predictions": [row for row in rows if "fault" not in row],
        "failed": [
            {"file": row["file"], "reason": row["fault"]}
            for row in rows
            if "fault" in row
        ],
    }
    files.write_json(folder / JSON, said)


def write_table(folder: Path, rows: Sequence[Row]) -> None:
    """predictions.csv, without what no cell can hold."""
    flat = [
        {k: v for k, v in row.items() if not isinstance(v, list | dict)} for row in rows
    ]
    files.write_csv(folder / CSV, flat)


def _output_name(row: Row) -> str:
    """What the names of a picture's files begin with; "" where there are none."""
    return str(row.get("mask", "")).rpartition("_mask.")[0]


def _plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "stamp"}


def _read(path: Path, made_by: Mapping[str, Any]) -> dict[str, Row]:
    """Rows by file of an earlier run of the same model; none of another, or damaged."""
    try:
        said = json.loads(path.read_text())
        if said["made_by"] != made_by:
            logging.info("%s is of another model or request: predicted anew.", path)
            return {}
        return {row["file"]: row for row in said["predictions"] if row["stamp"]}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError) as error:
        logging.warning("%s is damaged (%s): predicted anew.", path, error)
        return {}
