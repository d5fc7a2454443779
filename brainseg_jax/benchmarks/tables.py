"""The tables of --mode=benchmark: speeds with their spread, ratios, compiling, memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from brainseg_jax.benchmarks.timing import Spread

FRAMEWORKS = ("JAX", "PyTorch", "channels last")
WHATS = ("forward", "training")
Row = Mapping[str, Any]


def speeds(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Images per second of every framework, "7.26 ±1.2 %"."""
    return [
        _names(row) | {"rounds": str(_rounds(row))} | speed_cells(row) for row in rows
    ]


def speed_cells(row: Row) -> dict[str, str]:
    batch = row["shape"][0]
    spreads = {what: Spread(**spread) for what, spread in row["seconds"].items()}
    return {
        what: f"{batch / one.median:.2f} ±{100 * one.share:.1f} %"
        for what, one in spreads.items()
    }


def ratios(rows: Sequence[Row]) -> list[dict[str, str]]:
    """How many times faster JAX is; the seconds to compile, the memory of a step."""
    return [_names(row) | _faster(row) | _compiled(row) for row in rows]


def show(title: str, cells: Sequence[Mapping[str, str]], caption: str = "") -> None:
    """Prints a table as wide as it is; columns in the order in which they first come."""
    if not cells:
        return
    table = Table(title=title, box=box.MARKDOWN)
    # Of rows that lack some, the longest has the usual order.
    longest = max(cells, key=len)
    columns = list(dict.fromkeys([*longest, *(key for row in cells for key in row)]))
    for column in columns:
        left = column in ("model", "form", "layer", "masks", "chosen")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in cells:
        table.add_row(*(row.get(name, "") for name in columns))
    Console(width=Console(width=1000).measure(table).maximum).print(table)
    if caption:
        print(caption)


def _names(row: Row) -> dict[str, str]:
    size = "x".join(map(str, row["shape"][1:-1]))
    return {"model": row["model"], "form": row["form"], "size": size}


def _rounds(row: Row) -> int:
    return min(Spread(**spread).rounds for spread in row["seconds"].values())


def _faster(row: Row) -> dict[str, str]:
    """PyTorch's time over JAX's, its better layout's and that of channels last."""
    median = {what: Spread(**spread).median for what, spread in row["seconds"].items()}
    cells = {}
    for what in WHATS:
        theirs = {name: f"{name} {what}" for name in FRAMEWORKS[1:]}
        if all(key in median for key in theirs.values()):
            ours, last = median[f"JAX {what}"], median[theirs["channels last"]]
            better = min(last, median[theirs["PyTorch"]])
            cells[f"{what} / better layout"] = f"{better / ours:.2f}"
            cells[f"{what} / channels last"] = f"{last / ours:.2f}"
    return cells


def _compiled(row: Row) -> dict[str, str]:
    memory = row["temporary_mib"]
    return {
        "compiling, s": f"{row['compile_seconds']:.1f}",
        "temporary, MiB": "" if memory is None else f"{memory:.0f}",
    }
