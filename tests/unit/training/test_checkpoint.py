"""Checkpoints on a disk: whole or not there."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import (
    Checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_checkpoint,
    write_json,
)
from omnimask.training.checkpoint_writer import save_checkpoint
from tests.unit.toy_recipe import toy_recipe


def checkpoint(step: int) -> Checkpoint[Recipe]:
    return Checkpoint(
        recipe=toy_recipe(),
        weights={"w": torch.full((2,), float(step))},
        optimizer={"w/exp_avg": torch.zeros(2)},
        state={"step": step},
    )


def test_every_byte_is_on_the_disk_before_the_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[int] = []
    before_the_name: list[int] = []
    rename = Path.rename

    def renaming(self: Path, target: Any) -> Path:
        before_the_name.extend(synced)
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(Path, "rename", renaming)
    folder = save_checkpoint(tmp_path, checkpoint(3), keep=2)
    parts = {path.name: path.stat().st_ino for path in [folder, *folder.iterdir()]}
    assert len(parts) == 6
    assert {name for name, node in parts.items() if node not in before_the_name} == set()
    assert folder.parent.stat().st_ino in synced, "the new name itself is on the disk, too"


def test_as_many_as_asked_for_are_kept(tmp_path: Path):
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["step-00000003", "step-00000004"]
    assert load_checkpoint(last_checkpoint(tmp_path)).weights["w"].tolist() == [4.0, 4.0]


def test_half_a_checkpoint_is_none_and_the_next_one_sweeps_it_away(tmp_path: Path):
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    half = tmp_path / "checkpoints" / "step-00000002.unfinished"
    half.mkdir()
    assert last_checkpoint(tmp_path).name == "step-00000001"
    save_checkpoint(tmp_path, checkpoint(3), keep=2)
    assert not half.exists()


def test_a_record_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})
    old = path.read_text()
    replace = Path.replace

    def replacing(self: Path, target: Any) -> Path:
        assert path.read_text() == old, "until the new one is whole"
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replacing)
    write_json(path, {"a": 2})
    assert path.read_text() != old
    assert list(tmp_path.iterdir()) == [path]
