"""Imports go one way, and no file says `config.get(key, default)`."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LEVELS = (
    ("registry", "parallel", "interrupt", "progress", "files"),
    (
        *("models", "losses", "metrics", "scores", "class_scores", "overlap"),
        *("classes", "normalise"),
        *("augment", "freeze", "optim", "order", "pretrained", "published"),
        "model_options",
        *("torch_files", "torch_pickles", "weight_files", "weight_names"),
    ),
    ("state", "tasks"),
    ("steps",),
    (
        *("checkpoints", "data", "experiment", "figures", "images", "run_folder"),
        *("inference", "localize", "class_figures", "encoder_weights"),
    ),
    (
        *("train", "evaluate", "predict", "preflight"),
        *("benchmark", "benchmark_torch", "benchmark_models"),
        *("models_table", "checks", "runs", "records", "resume", "scoring", "reports"),
    ),
)
HEIGHT = {name: height for height, level in enumerate(LEVELS) for name in level}
SOURCES = sorted((ROOT / "brainseg_jax").rglob("*.py"))


def imported(path):
    """Modules that a file imports, in full."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(path):
    """The names under brainseg_jax that a file imports from."""
    names = (name.split(".") for name in imported(path))
    return {parts[1] for parts in names if parts[0] == "brainseg_jax" and parts[1:]}


def level_of(path):
    return HEIGHT[path.relative_to(ROOT / "brainseg_jax").parts[0].removesuffix(".py")]


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parent.name != "brainseg_jax" or p.stem[0] != "_"],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_a_file_imports_from_its_level_or_below(path):
    above = {name for name in own(path) if HEIGHT[name] > level_of(path)}
    assert not above


def test_imports_have_no_cycle():
    # A folder of parts is one node: models and losses never need each other.
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        name = path.relative_to(ROOT / "brainseg_jax").parts[0].removesuffix(".py")
        graph[name] = graph.get(name, set()) | own(path) - {name}
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph


@pytest.mark.parametrize(
    "folder, forbidden",
    [
        ("brainseg_jax", {"datasets", "configs", "tensorflow", "torch", "keras"}),
        ("datasets", {"brainseg_jax", "jax", "flax", "tensorflow", "torch"}),
        ("configs", {"brainseg_jax", "datasets", "jax", "numpy", "tensorflow"}),
    ],
)
def test_a_folder_keeps_away_from(folder, forbidden):
    found = {
        (path.name, name.split(".")[0])
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "benchmark_torch.py"  # the one that times PyTorch
        for name in imported(path)
    }
    assert not {pair for pair in found if pair[1] in forbidden}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_defaults_live_in_base_or_in_a_signature(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "get":
            target = ast.unparse(node.value)
            assert "config" not in target and "options" not in target


def test_only_parallel_knows_how_a_step_is_mapped():
    users = {path.stem for path in SOURCES if "pmap(" in path.read_text()}
    assert users == {"parallel"}


def test_only_checkpoints_imports_orbax():
    users = {p.stem for p in SOURCES if any("orbax" in name for name in imported(p))}
    assert users == {"checkpoints"}
