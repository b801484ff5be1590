"""Checkpoints that are not as they were written: never read, set aside, named."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omnimask import load_encoder, save_encoder
from omnimask.commands.pretrain import train
from omnimask.foundation.errors import DamageError
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import (
    last_checkpoint,
    list_checkpoints,
    load_checkpoint,
    sound_checkpoint,
)
from omnimask.training.run_folder import set_repeated_aside
from tests.unit.toy_recipe import toy_recipe

FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "recipe.json", "SHA256SUMS")


def recipe() -> Recipe:
    toy = toy_recipe()
    return replace(toy, run=replace(toy.run, checkpoint_every=3, keep_checkpoints=2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints, of steps 6 and 8."""
    run = tmp_path_factory.mktemp("damaged") / "whole"
    train(recipe(), run)
    assert [path.name for path in list_checkpoints(run)] == ["step-00000006", "step-00000008"]
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """One bit of the last quarter, where weights and numbers stand."""
    data = bytearray(path.read_bytes())
    data[-len(data) // 4] ^= 1
    path.write_bytes(bytes(data))


def of_the_other_step(path: Path) -> None:
    shutil.copy(path.parent.with_name("step-00000006") / path.name, path)


DAMAGES: tuple[Callable[[Path], None], ...] = (halved, emptied, flipped, Path.unlink)


@pytest.mark.parametrize("damage", [*DAMAGES, of_the_other_step])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_taken(
    run: Path, damage: Callable[[Path], None], name: str
):
    last = last_checkpoint(run)
    before = (last / name).read_bytes()
    damage(last / name)
    if (last / name).exists() and (last / name).read_bytes() == before:
        assert (damage, name) == (of_the_other_step, "recipe.json"), "the same at every step"
        return
    with pytest.raises(DamageError, match=last.name):
        load_checkpoint(last)
    checkpoint, damaged = sound_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.state["step"] == 6
    assert list(damaged) == [last]


@pytest.mark.parametrize("field", ["seed", "optim", "modalities"])
def test_a_recipe_that_was_changed_in_the_checkpoint_is_no_recipe_of_it(run: Path, field: str):
    path = last_checkpoint(run) / "recipe.json"
    saved = json.loads(path.read_text())
    assert field in saved
    saved[field] = 7 if field == "seed" else saved[field]
    path.write_text(json.dumps(saved, indent=2))
    with pytest.raises(DamageError, match=r"recipe\.json has another checksum"):
        load_checkpoint(path.parent)


def test_a_checkpoint_under_the_name_of_another_step_is_refused(run: Path):
    renamed = last_checkpoint(run).rename(run / "checkpoints/step-00000007")
    with pytest.raises(DamageError, match="is of step 8"):
        load_checkpoint(renamed)


def test_a_run_goes_on_from_the_checkpoint_before_as_if_nothing_had_been(
    whole: Path, run: Path, capsys: pytest.CaptureFixture[str]
):
    flipped(last_checkpoint(run) / "optimizer.safetensors")
    train(recipe(), run)
    errors = capsys.readouterr().err
    assert "step-00000008 is damaged: optimizer.safetensors has another checksum" in errors
    assert "step-00000008.damaged, and the run goes on from step 6" in errors
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["step-00000006", "step-00000008", "step-00000008.damaged"]
    for part in ("model", "optimizer"):
        expected, got = (
            load_file(last_checkpoint(r) / f"{part}.safetensors") for r in (whole, run)
        )
        assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_where_none_is_sound_nothing_is_begun_anew(run: Path):
    for folder in list_checkpoints(run):
        emptied(folder / "state.json")
    for _ in range(2):
        with pytest.raises(DamageError, match=r"no checkpoint of .*step-00000006.*--out"):
            train(recipe(), run)
    shutil.move(last_checkpoint(run), run / "checkpoints/step-00000008.damaged")
    shutil.rmtree(run / "checkpoints/step-00000006")
    with pytest.raises(DamageError, match=r"step-00000008\.damaged was set aside"):
        train(recipe(), run)


@pytest.mark.parametrize("damage", DAMAGES[:2])
def test_a_damaged_recipe_of_the_run_is_named(run: Path, damage: Callable[[Path], None]):
    damage(run / "recipe.json")
    with pytest.raises(DamageError, match=r"run/recipe\.json cannot be read as JSON"):
        train(recipe(), run)


def test_the_checksums_are_those_of_sha256sum(run: Path):
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"],
        cwd=last_checkpoint(run),
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout.count(": OK") == 4


def steps_logged(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_log_has_one_line_per_step_after_a_restart(run: Path):
    assert steps_logged(run) == list(range(1, 9))
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    flipped(last_checkpoint(run) / "model.safetensors")
    train(recipe(), run)
    assert steps_logged(run) == list(range(1, 9))
    assert (run / "repeated/metrics.jsonl").read_text() == "".join(lines[6:]), "nothing is lost"


def test_lines_of_other_logs_are_set_aside_too_and_those_without_a_step_stay(tmp_path: Path):
    (tmp_path / "skipped_steps.jsonl").write_text('{"step": 2}\n{"step": 3}\n')
    (tmp_path / "bad_files.jsonl").write_text('{"name": "a"}\n')
    set_repeated_aside(tmp_path, 2)
    assert (tmp_path / "skipped_steps.jsonl").read_text() == '{"step": 2}\n'
    assert (tmp_path / "repeated/skipped_steps.jsonl").read_text() == '{"step": 3}\n'
    assert (tmp_path / "bad_files.jsonl").read_text() == '{"name": "a"}\n'
    assert not (tmp_path / "repeated/bad_files.jsonl").exists()


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_a_damaged_encoder_folder_is_refused(run: Path, tmp_path: Path, name: str):
    folder = save_encoder(load_encoder(run), tmp_path / "encoder")
    flipped(folder / name)
    with pytest.raises(DamageError, match=rf"encoder is damaged: {name} has another checksum"):
        load_encoder(folder)
