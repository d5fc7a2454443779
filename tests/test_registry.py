"""Parts are found by name, and a wrong name is answered with the right ones."""

import sys

import pytest

from brainseg_jax import losses, models, registry


@pytest.fixture
def drawings(tmp_path, monkeypatch):
    """A package of two parts, one of them broken, and a folder that they share."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "good.py").write_text("value = 7")
    (folder / "broken.py").write_text("import no_such_package")
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "notes.txt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("drawings")
    for name in [name for name in sys.modules if name.split(".")[0] == "drawings"]:
        del sys.modules[name]


def test_names_are_sorted_files_without_what_they_share(drawings):
    assert registry.names(drawings) == ["broken", "good"]


def test_names_are_read_without_importing(drawings):
    registry.names(drawings)
    assert not [name for name in sys.modules if name.startswith("drawings.")]


def test_a_broken_part_does_not_hide_the_others(drawings):
    assert registry.find(drawings, "good").value == 7


def test_a_parts_own_import_error_is_not_taken_for_a_wrong_name(drawings):
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        registry.find(drawings, "broken")


def test_a_near_miss_is_named(drawings):
    with pytest.raises(ValueError) as refusal:
        registry.find(drawings, "god")
    assert str(refusal.value) == (
        "No drawing 'god'; there are: broken, good. Did you mean 'good'?"
    )


@pytest.mark.parametrize(
    "package, name, part", [(models, "resnet_u", "model"), (losses, "tverski", "loss")]
)
def test_the_refusal_says_what_was_looked_for(package, name, part):
    with pytest.raises(ValueError, match=f"No {part} '{name}'; there are: "):
        registry.find(package, name)


@pytest.mark.parametrize("name", ["layers", "resunet.layers", "", "__init__", "os"])
def test_only_a_model_is_a_model(name):
    with pytest.raises(ValueError, match=f"No model '{name}'; there are: .*resunet"):
        registry.find(models, name)


@pytest.mark.parametrize("package, part", [(models, "Model"), (losses, "loss")])
def test_every_part_exports_what_is_wanted_of_it(package, part):
    found = [registry.find(package, name) for name in registry.names(package)]
    assert found
    assert all(callable(getattr(module, part)) for module in found)
