"""Compares the figures of two benchmarks of nets, net by net."""

from collections.abc import Mapping
from typing import Any

from brainseg_jax.benchmarks import tables
from brainseg_jax.benchmarks.timing import Spread

TITLE = "New over old: seconds and memory, below 1 is better"
Content = Mapping[str, Any]


def show(new: Content, old: Content) -> None:
    """Prints the table and what keeps it from being like with like."""
    tables.show(TITLE, cells(new, old))
    for line in (*unlike(new["machine"], old["machine"]), *left_out(new, old)):
        print(line)


def cells(new: Content, old: Content) -> list[dict[str, str]]:
    """A row for every net that both have at the same size."""
    before = {_key(net): _figures(net) for net in old["nets"]}
    return [
        {"model": net["model"], "form": net["form"]}
        | {
            name: f"{value / before[_key(net)][name]:.2f}"
            for name, value in _figures(net).items()
            if before[_key(net)].get(name)
        }
        for net in new["nets"]
        if _key(net) in before
    ]


def left_out(new: Content, old: Content) -> list[str]:
    """Sentences that name the nets that only one of them has."""
    ours, theirs = ({_key(net): net for net in one["nets"]} for one in (new, old))
    lines = []
    for where, one, other in (("new", ours, theirs), ("old", theirs, ours)):
        names = [_name(net) for key, net in one.items() if key not in other]
        if names:
            lines.append(f"Only in the {where} figures: {'; '.join(names)}.")
    return lines


def unlike(new: Content, old: Content) -> list[str]:
    """A sentence for everything about the machines that differs, versions one by one."""
    now, then = (
        {**machine, **machine["versions"], "versions": None} for machine in (new, old)
    )
    return [
        f"Not like with like: {name.replace('_', ' ')} is {now.get(name)} now, "
        f"was {then.get(name)}."
        for name in dict.fromkeys([*now, *then])
        if now.get(name) != then.get(name)
    ]


def _key(net: Content) -> tuple[Any, ...]:
    return net["model"], net["form"], *net["shape"]


def _name(net: Content) -> str:
    return f"{net['model']}, {net['form']} ({'x'.join(map(str, net['shape']))})"


def _figures(net: Content) -> dict[str, float]:
    seconds = {name: Spread(**one).median for name, one in net["seconds"].items()}
    compiling = {"compiling": net["compile_seconds"]}
    memory = net["temporary_mib"]
    return seconds | compiling | ({} if memory is None else {"memory": memory})
