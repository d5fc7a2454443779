"""Imports go one way, and no file says `config.get(key, default)`."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "brainseg_jax"
LEVELS = (
    ("registry", "parallel", "interrupt", "terminal", "files"),
    ("models", "losses", "metrics", "weights"),
    ("data", "tasks"),
    ("training",),
    ("inference",),
    ("reports",),
    ("runs",),
    ("benchmarks",),
    ("modes",),
)
HEIGHT = {name: height for height, level in enumerate(LEVELS) for name in level}
SOURCES = sorted(PACKAGE.rglob("*.py"))


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
    return HEIGHT[path.relative_to(PACKAGE).parts[0].removesuffix(".py")]


def test_the_levels_name_every_room_and_no_other():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    files = {path.stem for path in PACKAGE.glob("[a-z]*.py")}
    assert HEIGHT.keys() == rooms | files
    assert len(files) <= 6


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path != PACKAGE / "__init__.py"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_file_imports_from_its_level_or_below(path):
    above = {name for name in own(path) if HEIGHT[name] > level_of(path)}
    assert not above


def test_imports_have_no_cycle():
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        graph[module_of(path)] = {module_of(found) for found in files_of(path)}
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph


def module_of(path):
    return str(path.relative_to(PACKAGE))


def files_of(path):
    """The files of brainseg_jax that a file imports."""
    for name in imported(path):
        parts = name.split(".")[1:]
        for end in range(len(parts), 0, -1):
            file = PACKAGE.joinpath(*parts[:end]).with_suffix(".py")
            if name.startswith("brainseg_jax.") and file.exists() and file != path:
                yield file
                break


def test_modes_import_each_other_only_to_score_what_they_train():
    found = {
        (path.stem, name.removeprefix("brainseg_jax.modes."))
        for path in (PACKAGE / "modes").glob("*.py")
        for name in imported(path)
        if name.startswith("brainseg_jax.modes.")
    }
    assert found == {
        ("train", "evaluate"), ("crossval", "evaluate"), ("crossval", "train")
    }  # fmt: skip


TORCH = {  # which time PyTorch
    *("torch_nets.py", "torch_parts.py", "torch_residual.py", "torch_resnet50.py"),
    "torch_steps.py",
}


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
        if path.name not in TORCH
        for name in imported(path)
    }
    assert not {pair for pair in found if pair[1] in forbidden}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_defaults_live_in_base_or_in_a_signature(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "get":
            target = ast.unparse(node.value)
            assert "config" not in target and "options" not in target


MAPPED = {"pmap", "shard_map", "NamedSharding", "PartitionSpec", "Mesh", "make_mesh"}
COMPILED_ELSEWHERE = {
    "training/state.py",  # initial values, before there is a step
    "benchmarks/cost.py",  # lowered to be counted, never run
    "benchmarks/jax_steps.py",  # bare nets on one device, beside PyTorch's
    "runs/transfer.py",  # lowered to be compared, never run
}


def named(path):
    """Every name and attribute that a file's code uses or imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            yield node.id
        if isinstance(node, ast.Attribute):
            yield node.attr
        if isinstance(node, ast.alias):
            yield from node.name.split(".")


def test_only_parallel_knows_how_a_step_is_mapped():
    users = {module_of(path) for path in SOURCES if MAPPED & {*named(path)}}
    assert users == {"parallel.py"}


def test_steps_of_a_run_are_compiled_by_parallel_alone():
    users = {module_of(path) for path in SOURCES if {"jit", "pjit"} & {*named(path)}}
    assert users == {"parallel.py"} | COMPILED_ELSEWHERE


def test_only_checkpoints_imports_orbax():
    users = {p.stem for p in SOURCES if any("orbax" in name for name in imported(p))}
    assert users == {"checkpoints"}


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if "models" in path.relative_to(PACKAGE).parts[:-1]],
)
def test_a_model_knows_of_no_config(path):
    assert "config.model" not in path.read_text()


@pytest.mark.parametrize("folder", ["brainseg_jax", "datasets", "configs"])
def test_no_function_is_longer_than_a_page(folder):
    long = {
        (path.name, node.name): node.end_lineno - node.lineno + 1
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name != "get_config"
        if node.end_lineno - node.lineno >= 60
    }
    assert not long


def needed_by(name):
    """The files that come with one of brainseg_jax, and what they import from elsewhere."""
    waiting, files, others = [PACKAGE / name], set(), set()
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            others |= {found.split(".")[0] for found in imported(path)}
            waiting += files_of(path)
    return {module_of(path) for path in files}, others


@pytest.mark.parametrize(
    "name, avoided",
    [
        ("runs/checks.py", {"matplotlib", "scipy"}),
        ("runs/preflight.py", {"matplotlib"}),
        ("tasks/segmentation.py", {"scipy", "matplotlib"}),
        ("tasks/classification.py", {"scipy", "matplotlib"}),
        ("modes/predict.py", {"matplotlib"}),
    ],
)
def test_a_file_comes_without_libraries_that_it_does_not_need(name, avoided):
    files, others = needed_by(name)
    assert not avoided & others
    assert not [file for file in files if file.startswith("reports/")]
