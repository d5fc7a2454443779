"""Looks for what the splits of an experiment share: patients, examples, pictures."""

import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from brainseg_jax import files
from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data import leakage, likeness, splits, stored
from brainseg_jax.data.index import Index
from brainseg_jax.data.leakage import EXACT, NEAR, Part, Shared
from brainseg_jax.reports.parts import leak_words, planes, twin_pictures
from brainseg_jax.runs import leaks, members, reported, run_folder

ReadPicture = Callable[[int], np.ndarray]
# Picture -> its title, and which pairs it shows.
PICTURES = {
    "exact_one_patient": ("The same pixels, one patient", EXACT, True),
    "exact_two_patients": ("The same pixels, two patients", EXACT, False),
    "near_one_patient": ("Near-duplicates of one patient", NEAR, True),
    "near_two_patients": ("Near-duplicates of two patients", NEAR, False),
}


class Compared(NamedTuple):
    """The prepared data set, and which of its splits are compared."""

    name: str
    data_dir: str
    roles: dict[str, str]
    only_tumour: bool


def run(request: Any) -> None:
    """--mode=audit: prepares the data, then compares the splits of the config.

    Without --config those of the run in --workdir, or all folds of a cross-validation.
    """
    if request.has_config or not request.flags.workdir:
        data = _data_of_config(request.config.data)
    else:
        data = _data_of_run(request.flags.workdir, request.flags.data_dir)
    if split := request.flags.split:
        raise ValueError(
            f"--mode=audit compares the splits of the config; leave out --split={split}, "
            "and set config.data.train, .validation and .test."
        )
    folder = pathlib.Path(request.outputs)
    run_folder.check_writable(folder, "--outputs")
    if request.has_config:
        request.prepare_data()
    audit(data.name, data.data_dir, data.roles, folder, only_tumour=data.only_tumour)


def _data_of_config(options: ConfigDict) -> Compared:
    roles = {role: options[role] for role in leaks.ROLES}
    return Compared(options.name, options.data_dir, roles, options.only_tumour)


def _data_of_run(workdir: str, data_dir: str) -> Compared:
    """By what config.json says of it; of a cross-validation of each of its folds."""
    abouts = [reported.read_about(folder) for folder in members.folders(workdir)]
    options = abouts[0].config["data"]
    return Compared(
        options["name"],
        data_dir or options["data_dir"],
        leaks.roles_of(abouts, by_fold=members.are_folds(workdir)),
        options["only_tumour"],
    )


def audit(
    name: str,
    data_dir: str | pathlib.Path,
    roles: Mapping[str, str],
    outputs: str | pathlib.Path,
    *,
    only_tumour: bool = False,
) -> list[dict[str, Any]]:
    """Writes audit.json, pairs.csv and pictures of pairs; gives a row for two splits each.

    Args:
        roles: train, validation, test -> split, such as fold_0+fold_1; "" for none.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if there is no such split, or a file is damaged.
        OSError: if `outputs` cannot be written.
    """
    info = data_info.read_info(name, data_dir)
    builder = data_info.open_builder(name, data_dir)
    index = data_index.read_index(builder.data_dir)
    known = list(builder.info.splits)
    rows = {
        role: splits.rows_of(index, info, split, known, only_tumour=only_tumour)
        for role, split in roles.items()
        if split
    }
    read_image = stored.open_features(builder, ("image",))

    def read(row: int) -> np.ndarray:
        return read_image(index.splits[row], index.records[row])["image"]

    parts = hash_parts(rows, read)
    found = [
        leakage.compare(first, second, index)
        for first, second in itertools.combinations(parts, 2)
    ]
    note = info.note(*roles.values())
    about = {"data_set": name, "version": info.version, "note": note, "splits": roles}
    folder = pathlib.Path(outputs)
    table = _write_tables(found, index, about, folder)
    _draw(found, index, lambda row: planes.middle_plane(read(row)), folder, note)
    show(table, note, by_file=info.one_patient_per_file)
    logging.info("Tables and pictures are in %s.", folder)
    return table


def hash_parts(rows: Mapping[str, list[int]], read: ReadPicture) -> list[Part]:
    """Reads every example once, however many splits it is in; of volumes hashes a plane."""
    wanted = sorted({row for own in rows.values() for row in own})
    digests, hashes = {}, {}
    for row in track(wanted, "hashing", transient=True):
        image = read(row)
        digests[row] = likeness.digest(image)
        hashes[row] = likeness.perceptual_hash(planes.middle_plane(image))
    return [
        Part(
            role,
            own,
            [digests[row] for row in own],
            np.stack([hashes[row] for row in own]),
        )
        for role, own in rows.items()
    ]


def show(table: Sequence[Mapping[str, Any]], note: str, *, by_file: bool) -> None:
    """Prints what two splits each share, and what that means."""
    title = " · ".join(filter(None, ("What two splits share", note)))
    printed = Table(title=title, box=box.MARKDOWN)
    printed.add_column("splits", no_wrap=True)
    for column in leak_words.COLUMNS:
        printed.add_column(column, justify="right")
    for row in table:
        splits_of = f"{row['first']}, {row['second']}"
        printed.add_row(
            splits_of, *(str(row[key]) for key in leak_words.COLUMNS.values())
        )
    Console(width=100).print(printed)
    print("\n".join(leak_words.verdict(table, by_file=by_file)))


def _write_tables(
    found: Sequence[Shared],
    index: Index,
    about: Mapping[str, Any],
    folder: pathlib.Path,
) -> list[dict[str, Any]]:
    """audit.json, and pairs.csv unless there is none; gives the rows of the first."""
    rows = [leakage.counts(shared) for shared in found]
    patients = [{"patients": shared.patients} for shared in found]
    with_patients = [row | names for row, names in zip(rows, patients, strict=True)]
    files.write_json(folder / "audit.json", {**about, "shared": with_patients})
    if pairs := leakage.pair_rows(found, index):
        files.write_csv(folder / "pairs.csv", pairs)
    else:
        (folder / "pairs.csv").unlink(missing_ok=True)
    return rows


def _draw(
    found: list[Shared],
    index: Index,
    read: ReadPicture,
    folder: pathlib.Path,
    note: str,
) -> None:
    """A picture of each kind of pair; one left by an earlier audit goes."""
    for name, (title, kind, same) in PICTURES.items():
        path = folder / f"{name}.png"
        pairs = [
            (shared, one)
            for shared in found
            for one in shared.pick(kind, same_patient=same)
        ]
        total = sum(shared.tally[kind, same] for shared in found)
        if pairs:
            twin_pictures.draw_twins(
                pairs, index, read, path, total=total, title=title, note=note
            )
        else:
            path.unlink(missing_ok=True)
