"""Whose parts a saved recipe may name, and how a command line names a module."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.foundation import trust
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.trust import check_trusted, trust_named, trusted_packages


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trust, "_trusted", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)


def test_only_ours_are_trusted_unless_somebody_says_so(tmp_path: Path):
    with pytest.raises(RecipeError, match="add --trust unheard_of to the command"):
        check_trusted("unheard_of.masks", "unheard_of.masks:Mine")
    assert trust_named("unheard_of.other") == "unheard_of.other"
    check_trusted("unheard_of.masks", "unheard_of.masks:Mine")
    assert sys.path[0] == str(tmp_path)
    assert trusted_packages() == ("omnimask", "modalities", "recipes", "unheard_of")


def test_installed_plug_ins_are_trusted(monkeypatch: pytest.MonkeyPatch):
    entry = EntryPoint(name="radar", value="radar_parts.files:RadarFiles", group="omnimask.plugins")
    asked = []

    def entry_points(*, group: str) -> list[EntryPoint]:
        asked.append(group)
        return [entry]

    monkeypatch.setattr(trust, "entry_points", entry_points)
    trust.plugin_modules.cache_clear()
    try:
        check_trusted("radar_parts", "radar_parts:Mine")
    finally:
        monkeypatch.undo()
        trust.plugin_modules.cache_clear()
    assert asked == ["omnimask.plugins"]
    assert "radar_parts" not in sys.modules  # trusted, not imported


def test_a_file_is_named_as_python_imports_it(tmp_path: Path):
    (tmp_path / "parts" / "below").mkdir(parents=True)
    for path in ("parts/__init__.py", "parts/below/__init__.py", "parts/below/mine.py", "alone.py"):
        (tmp_path / path).write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "third.py").write_text("")
    assert trust_named("alone.py") == "alone"
    assert trust_named("parts/below/mine.py") == "parts.below.mine"
    assert trust_named("elsewhere/third.py") == "third"
    assert sys.path[0] == str(tmp_path / "elsewhere")
    assert set(trusted_packages()) >= {"alone", "parts", "third"}


def test_a_file_that_hides_another_module_is_refused(tmp_path: Path):
    (tmp_path / "json.py").write_text("")
    with pytest.raises(RecipeError, match="rename your file"):
        trust_named("json.py")
    with pytest.raises(RecipeError, match="there is no file"):
        trust_named("absent.py")


SAVED = [
    ["pretrain", "x:y"],
    ["report", "x"],
    ["draw", "masks", "x"],
    ["draw", "reconstructions", "x"],
    ["finetune", "x:y"],
    ["probe", "x"],
    ["embed", "x", "y", "--out", "z"],
    ["search", "x", "y"],
    ["impute", "x", "y", "--out", "z"],
    ["export", "x", "--format", "encoder", "--out", "y"],
]


@pytest.mark.parametrize("arguments", SAVED, ids=lambda arguments: " ".join(arguments[:2]))
def test_every_command_that_reads_what_was_saved_takes_trust(arguments: list[str], capsys):
    assert main([*arguments, "--trust", "absent.py"]) == 2
    assert "there is no file" in capsys.readouterr().err
