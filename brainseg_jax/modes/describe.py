"""Draws what a prepared data set holds, and says it in numbers."""

import pathlib
from typing import Any

import numpy as np
from absl import logging
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import survey
from brainseg_jax.reports.parts import survey_pictures, survey_tables
from brainseg_jax.runs import run_folder


def run(request: Any) -> None:
    """--mode=describe: prepares the data, then describes the whole data set."""
    data = request.config.data  # first, as it names the folder, too
    folder = pathlib.Path(request.outputs)
    run_folder.check_writable(folder, "--outputs")
    request.prepare_data()
    describe(data.name, data.data_dir, folder, seed=request.config.seed)


def describe(
    name: str,
    data_dir: str | pathlib.Path,
    outputs: str | pathlib.Path,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Writes pictures, summary.json, summary.txt, examples.csv and patients.csv.

    Gives the summary. `seed` says which examples are shown.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if a file of it is damaged.
        OSError: if `outputs` cannot be written.
    """
    folder = pathlib.Path(outputs)
    found = survey.survey(
        name,
        data_dir,
        progress=lambda rows: track(rows, "reading masks", transient=True),
    )
    missing = survey_pictures.draw(
        found,
        folder,
        np.random.default_rng(seed),
        progress=lambda pictures: track(pictures, "drawing", transient=True),
    )
    summary = survey_tables.summarise(found)
    text = "\n".join(survey_tables.summary_lines(summary, missing)) + "\n"
    files.write_json(folder / "summary.json", {**summary, "not_shown": missing})
    files.write_atomically(folder / "summary.txt", text.encode())
    files.write_csv(folder / "examples.csv", survey_tables.example_rows(found))
    files.write_csv(folder / "patients.csv", survey_tables.patient_rows(found))
    print(text, end="")
    logging.info("Pictures and tables of %s are in %s.", name, folder)
    return summary
