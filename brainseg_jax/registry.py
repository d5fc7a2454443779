"""Finds a part by name: the name in a config is the name of a module."""

import difflib
import importlib
import pkgutil
from types import ModuleType


def names(package: ModuleType) -> list[str]:
    """Every part of a package, such as brainseg_jax.models, without importing any.

    What the parts share lies in a folder of the package, which is not listed.
    """
    modules = pkgutil.iter_modules(package.__path__)
    return sorted(module.name for module in modules if not module.ispkg)


def find(package: ModuleType, name: str) -> ModuleType:
    """The module called `name`, and imports no other; ValueError lists what there is."""
    known = names(package)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        advice = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"No {_kind(package)} {name!r}; there are: {', '.join(known)}.{advice}"
        )
    return importlib.import_module(f"{package.__name__}.{name}")


def _kind(package: ModuleType) -> str:
    """What one part is called: a model of models, a loss of losses."""
    plural = package.__name__.rpartition(".")[2]
    return plural.removesuffix("es" if plural.endswith("sses") else "s")
