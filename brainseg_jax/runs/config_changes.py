"""What one config sets otherwise than another: keys, with both values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

NOT_SET = "-"  # a key that only one of the two has: an option, a loss


class Comparison(NamedTuple):
    """An experiment beside base, values as they are written in Python."""

    different: list[tuple[str, str, str]]  # key, value in the experiment, value in base
    same: int  # how many keys have base's value


def compare(config: ConfigDict, base: ConfigDict) -> Comparison:
    """Of all keys, in the order of their names."""
    ours, defaults = _leaves(config.to_dict()), _leaves(base.to_dict())
    different, same = [], 0
    for key in sorted({*ours, *defaults}):
        if key in ours and key in defaults and ours[key] == defaults[key]:
            same += 1
            continue
        different.append((key, _written(key, ours), _written(key, defaults)))
    return Comparison(different, same)


def _written(key: str, values: Mapping[str, Any]) -> str:
    return repr(values[key]) if key in values else NOT_SET


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their keys with dots; a part without keys has none."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
