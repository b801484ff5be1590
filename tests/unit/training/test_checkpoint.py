"""Checkpoints on a disk: whole or not there."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from omnimask.foundation.errors import DamageError, OmnimaskError
from omnimask.recipe.recipe import Recipe
from omnimask.training import checkpoint_writer
from omnimask.training.checkpoint import (
    Checkpoint,
    last_checkpoint,
    list_checkpoints,
    load_checkpoint,
    write_json,
)
from omnimask.training.checkpoint_writer import CheckpointWriter, save_checkpoint
from omnimask.training.tensor_parts import Part, load_parts, parts_file, save_parts
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


def test_what_training_changes_after_the_copy_is_not_written(tmp_path: Path):
    going_on = checkpoint(5)
    writer = CheckpointWriter(tmp_path, keep=2)
    writer.begin(going_on)
    going_on.weights["w"].fill_(-1.0)
    writer.wait()
    assert load_checkpoint(last_checkpoint(tmp_path)).weights["w"].tolist() == [5.0, 5.0]


def test_parts_are_one_checkpoint_when_all_are_written(tmp_path: Path):
    """What is not sharded the first process writes; nothing has a name before all have written."""
    writers = [CheckpointWriter(tmp_path, keep=2, part=part, parts=2) for part in range(2)]
    for writer in writers:
        writer.begin(checkpoint(3))
        writer.wait()
    assert list_checkpoints(tmp_path) == []
    for writer in reversed(writers):
        writer.publish()
    folder = last_checkpoint(tmp_path)
    assert load_checkpoint(folder).weights["w"].tolist() == [3.0, 3.0]
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(DamageError, match=r"model-00002-of-00002\.safetensors is missing"):
        load_checkpoint(folder)


def test_a_sharded_tensor_is_put_together_from_its_parts(tmp_path: Path):
    whole = torch.arange(10.0).reshape(5, 2)
    for number, rows in enumerate((slice(0, 3), slice(3, 5))):
        part = Part(values=whole[rows].contiguous(), offsets=(rows.start, 0))
        save_parts(tmp_path / parts_file("model", part=number, parts=2), {"w": part}, whole=False)
    assert torch.equal(load_parts(tmp_path, "model")["w"], whole)


def test_what_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_checkpoint(tmp_path, checkpoint(1), keep=2)

    def full(path: Path, parts: Any, *, whole: bool) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint_writer, "save_parts", full)
    with pytest.raises(OmnimaskError, match=r"No space left.*step-00000001 is whole"):
        save_checkpoint(tmp_path, checkpoint(2), keep=2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


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
