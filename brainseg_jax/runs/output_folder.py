"""The folder that --outputs names: if it may be written, and what it lacks at the end."""

import pathlib
from collections.abc import Mapping, Sequence

from brainseg_jax.data import image_files
from brainseg_jax.runs import run_folder


def check(inputs: Sequence[str], outputs: str) -> pathlib.Path:
    """The folder to write to.

    Raises:
        ValueError: if it is a file or lies in the inputs.
        OSError: if it cannot be written.
    """
    folder = pathlib.Path(outputs).resolve()
    if any(folder.is_relative_to(pathlib.Path(path).resolve()) for path in inputs):
        raise ValueError(
            f"--outputs={outputs} lies in the inputs: its overlays would be read as "
            "images the next time. Write to a folder outside of the inputs."
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--outputs={outputs} is a file; name a folder.")
    run_folder.check_writable(folder, "--outputs")
    return folder


def refuse_unreadable(
    failed: Mapping[str, str], count: int, outputs: pathlib.Path
) -> None:
    """At the end, so that the command fails and all others are predicted all the same.

    Raises:
        UnreadableImage: if any of `count` files `failed`, with the reasons.
    """
    if failed:
        reasons = "\n".join(failed.values())
        raise image_files.UnreadableImage(
            f"{len(failed)} of {count} files could not be predicted; the others are in "
            f"{outputs}:\n{reasons}"
        )
