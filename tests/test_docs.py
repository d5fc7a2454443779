"""README and docs: short enough, and naming only what there is."""

import importlib
import pathlib
import re

import pytest
from ml_collections import ConfigDict

from configs import base

ROOT = pathlib.Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("brainseg_jax", "configs", "datasets", "docs", "tests")
# Parts of a config whose keys are another file's: a model's options, losses by name.
OPEN = ("config.losses", "config.model.options", "config.data.normalisation")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def links(text):
    """Targets of links and pictures, of those within the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"\w+:", target)]


def experiments(text):
    """Experiments by file and variant, with the folder or without: unet_lgg.py:cpu."""
    return re.findall(
        r"(?:configs/)?\b([a-z0-9_]+_(?:lgg|figshare|folder|brats))\.py(?::(\w+))?",
        text,
    )


def keys(text):
    """Keys of a config, as on the command line or in a file."""
    found = re.findall(r"(?:--|`)(config(?:\.[a-z_0-9]+)+)", text)
    return [key for key in found if not key.endswith((".py", ".json"))]


def paths(text):
    """What looks like a path in the repository; my_... are a reader's own files."""
    named = rf"(?<![\w/.])((?:{'|'.join(FOLDERS)})/[\w./]*[\w/]|main\.py|Makefile)"
    return [path for path in re.findall(named, text) if "/my_" not in path]


def anchors(page):
    """Headings as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def test_the_readme_links_to_every_page():
    linked = {(ROOT / link.partition("#")[0]) for link in links(README.read_text())}
    assert linked >= {*PAGES} - {README}


@pages
def test_links_lead_somewhere(page):
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_experiments_that_are_named_exist(page):
    for name, variant in experiments(page.read_text()):
        assert variant in importlib.import_module(f"configs.{name}").VARIANTS


@pages
def test_keys_that_are_named_exist(page):
    for key in keys(page.read_text()):
        if key.startswith(OPEN):
            continue
        part = base.get_config()
        for name in key.split(".")[1:]:
            assert isinstance(part, ConfigDict) and name in part, key
            part = part[name]


@pages
def test_paths_that_are_named_exist(page):
    for path in paths(page.read_text()):
        assert (ROOT / path).exists(), path


def test_what_the_checks_look_for_is_found():
    text = (
        "[a](docs/b.md#c) `unet_lgg.py:cpu` --config=configs/cnn_lgg.py "
        "`config.task.exclusive=False` --config.data.nme=x tests/test_no.py"
    )
    assert links(text) == ["docs/b.md#c"]
    assert experiments(text) == [("unet_lgg", "cpu"), ("cnn_lgg", "")]
    assert keys(text) == ["config.task.exclusive", "config.data.nme"]
    assert paths(text) == ["docs/b.md", "configs/cnn_lgg.py", "tests/test_no.py"]
