"""The JSON file that keeps a benchmark's figures: where, written and read again."""

import json
import pathlib
from typing import Any

from brainseg_jax import files
from brainseg_jax.benchmarks.timing import Spread

OF_NETS = "brainseg_jax: speed of nets"
OF_EXPERIMENT = "brainseg_jax: speed of an experiment"


def check_path(outputs: str) -> None:
    """Refuses what cannot be written, before anything is measured; "" is no file.

    Raises:
        ValueError: if it is a folder, or the name does not end in .json.
    """
    if outputs and (not outputs.endswith(".json") or pathlib.Path(outputs).is_dir()):
        raise ValueError(
            f"--outputs={outputs} has to be a file for --mode=benchmark, named *.json."
        )


def write(outputs: str, kind: str, **content: Any) -> None:
    """The whole file or none of it; nothing if `outputs` is empty."""
    if outputs:
        files.write_json(outputs, {"kind": kind, **content})


def row(
    name: str, form: str, seconds: dict[str, Spread], **others: Any
) -> dict[str, Any]:
    """A net's figures as they are kept."""
    plain = {what: spread._asdict() for what, spread in seconds.items()}
    return {"model": name, "form": form, **others, "seconds": plain}


def read(path: str) -> dict[str, Any]:
    """What `write` wrote of nets.

    Raises:
        ValueError: if the file is not there or is no such file, with what to do.
    """
    try:
        content = json.loads(pathlib.Path(path).read_bytes())
        if content["kind"] != OF_NETS:
            raise ValueError(f"it says {content['kind']!r}")
        _ = content["machine"]["device"], content["machine"]["versions"].items()
        for net in content["nets"]:
            _check(net)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"--against={path} cannot be compared with ({reason}); give a file that "
            "--mode=benchmark --outputs=FILE.json wrote without --config."
        ) from error
    return content


def _check(net: dict[str, Any]) -> None:
    """A row that comparing can rely on; raises what `read` turns into a sentence."""
    _ = net["model"] + net["form"]
    _ = [int(size) for size in net["shape"]]
    numbers = [Spread(**spread).median for spread in net["seconds"].values()]
    numbers += [net["compile_seconds"], net["temporary_mib"] or 0]
    if not all(number >= 0 for number in numbers):
        raise ValueError(f"{net['model']} has times below 0")
