"""The loop on toy data, in this process: resume, accumulation, skipped steps, bad files."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import DataError, OmnimaskError, RecipeError
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import Teacher
from omnimask.training.checkpoint import list_checkpoints
from tests.unit.bad_recipe import with_bad
from tests.unit.runs import assert_same_weights, lines, losses, train_until, weights
from tests.unit.toy import Toy, ToyFiles
from tests.unit.toy_recipe import streams, toy_recipe, with_teacher


@pytest.mark.parametrize("make", [toy_recipe, with_teacher])
def test_a_resumed_run_is_bit_equal(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = make()
    train(recipe, tmp_path / "whole")
    train_until(recipe, tmp_path / "killed", 5, monkeypatch)
    train(recipe, tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


def test_workers_do_not_change_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = toy_recipe()
    train(recipe, tmp_path / "none")
    train_until(recipe, tmp_path / "two", 4, monkeypatch)
    train(replace(recipe, run=replace(recipe.run, num_workers=2)), tmp_path / "two")
    assert_same_weights(tmp_path / "none", tmp_path / "two")


def test_accumulation_equals_one_large_batch(tmp_path: Path):
    large = replace(toy_recipe(), data=replace(toy_recipe().data, streams=streams(8)))
    small = replace(
        toy_recipe(),
        data=replace(toy_recipe().data, streams=streams(4)),
        optim=replace(toy_recipe().optim, accumulate=2),
    )
    train(large, tmp_path / "large")
    train(small, tmp_path / "small")
    expected, got = losses(tmp_path / "large"), losses(tmp_path / "small")
    assert expected.keys() == got.keys()
    for step, loss in expected.items():
        assert got[step] == pytest.approx(loss, abs=1e-4), step


def test_the_last_checkpoints_are_kept(tmp_path: Path):
    train(toy_recipe(), tmp_path)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000006", "step-00000008"]


CALLS = {"number": 0}


def nan_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """MSE, but not a number from the sixth call to the ninth: two steps of two calls each."""
    CALLS["number"] += 1
    value = mse(predicted, truth)
    return value * float("nan") if 5 < CALLS["number"] <= 9 else value


def always_nan(predicted: Tensor, truth: Tensor) -> Tensor:
    return mse(predicted, truth) * float("nan")


def with_loss(loss: Any) -> Recipe:
    recipe = toy_recipe()
    (first, *others) = recipe.objectives
    return replace(recipe, objectives=(replace(first, loss=loss), *others))


def test_non_finite_steps_are_skipped_and_listed(tmp_path: Path):
    CALLS["number"] = 0
    train(with_loss(nan_loss), tmp_path)
    skipped = lines(tmp_path, "skipped_steps.jsonl")
    assert [entry["step"] for entry in skipped] == [3, 4, 5], "counted as in metrics.jsonl"
    assert len(skipped[0]["samples"]["toy"]) == 4
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path).values())
    assert lines(tmp_path)[-1]["skipped_in_a_row"] == 0


def test_too_many_non_finite_steps_stop_the_run(tmp_path: Path):
    recipe = with_loss(always_nan)
    recipe = replace(recipe, run=replace(recipe.run, max_nonfinite_steps=3))
    with pytest.raises(OmnimaskError, match=r"3 steps in a row .* skipped_steps.jsonl"):
        train(recipe, tmp_path)
    assert lines(tmp_path)[-1]["step"] == 3


def with_bad_files(budget: int) -> Recipe:
    recipe = toy_recipe()
    files = {"toy": ToyFiles(bad=(1, 7))}
    (first, *others) = recipe.data.streams
    bad = (replace(first, files=files), *others)
    return replace(recipe, data=replace(recipe.data, streams=bad, max_bad_files=budget))


def test_the_first_bad_file_stops_a_run_by_default(tmp_path: Path):
    recipe = with_bad_files(0)
    recipe = replace(recipe, modalities=tuple(replace(m, mean=0.0) for m in recipe.modalities))
    with pytest.raises(DataError, match=r"train-00[17]\.toy.*set data.max_bad_files"):
        train(recipe, tmp_path)


def test_bad_files_within_the_budget_are_listed_and_replaced(tmp_path: Path):
    recipe = with_bad_files(2)
    recipe = replace(recipe, modalities=tuple(replace(m, mean=0.0) for m in recipe.modalities))
    train(recipe, tmp_path)
    listed = lines(tmp_path, "bad_files.jsonl")
    assert {Path(entry["name"]).name for entry in listed} == {"train-001.toy", "train-007.toy"}
    assert len(listed) == 2
    assert lines(tmp_path)[-1]["step"] == recipe.optim.steps


def test_more_bad_files_than_the_budget_stop_the_run(tmp_path: Path):
    recipe = with_bad_files(1)
    recipe = replace(recipe, modalities=tuple(replace(m, mean=0.0) for m in recipe.modalities))
    with pytest.raises(DataError, match=r"more than data\.max_bad_files=1"):
        train(recipe, tmp_path)


def test_bad_files_of_an_earlier_start_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Places 1 and 23 of the order are read in steps 0 and 5."""
    recipe = with_bad({"toy": (1, 23)}, budget=1)
    train_until(recipe, tmp_path, 4, monkeypatch)
    assert len(lines(tmp_path, "bad_files.jsonl")) == 1
    stopped = r"2 files could not be read, more than data\.max_bad_files=1"
    for _ in range(2):  # and it stays stopped
        with pytest.raises(DataError, match=stopped):
            train(recipe, tmp_path)
    assert [line["use"] for line in lines(tmp_path, "bad_files.jsonl")] == ["training"] * 2


def test_a_stopped_run_goes_on_with_a_larger_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = with_bad({"toy": (1, 23)}, budget=1)
    train_until(recipe, tmp_path, 4, monkeypatch)
    with pytest.raises(DataError, match=r"more than data\.max_bad_files"):
        train(recipe, tmp_path)
    train(replace(recipe, data=replace(recipe.data, max_bad_files=2)), tmp_path)
    assert losses(tmp_path).keys() == set(range(1, recipe.optim.steps + 1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_no_stand_in_is_an_error_of_one_line(num_workers: int, tmp_path: Path):
    recipe = with_bad({"toy": tuple(range(24))}, budget=100)
    with pytest.raises(DataError, match=r"^stream toy: 20 samples in a row.*$"):
        train(replace(recipe, run=replace(recipe.run, num_workers=num_workers)), tmp_path)


def test_tensorboard_finds_the_losses_in_the_run_folder(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = toy_recipe()
    out = tmp_path / "waves"
    train(replace(recipe, run=replace(recipe.run, tracker="tensorboard")), out)
    (events,) = out.rglob("events.out.tfevents*")
    assert events.parent == out / "tensorboard"
    read = EventAccumulator(str(events.parent)).Reload()
    assert {point.step: point.value for point in read.Scalars("loss")} == pytest.approx(losses(out))


def test_the_folder_of_another_recipe_is_refused(tmp_path: Path):
    train(toy_recipe(), tmp_path)
    other = replace(toy_recipe(), optim=replace(toy_recipe().optim, lr=0.5))
    with pytest.raises(RecipeError, match=r"belongs to another recipe.*optim.lr: 0.01 -> 0.5"):
        train(other, tmp_path)


def test_a_run_from_before_a_field_came_goes_on(tmp_path: Path):
    train(toy_recipe(), tmp_path)
    saved = json.loads((tmp_path / "recipe.json").read_text())
    del saved["start"]
    (tmp_path / "recipe.json").write_text(json.dumps(saved))
    train(toy_recipe(), tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match="is not empty and is no run folder"):
        train(toy_recipe(), tmp_path)


def test_a_finished_run_stays_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    train(toy_recipe(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    train(toy_recipe(), tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


class _AllAlike(Toy):
    """Its tokens all look alike to the encoder, wherever they stand."""

    def embed(self, dim: int) -> nn.Module:
        layer = nn.Linear(self.num_values, dim)
        nn.init.zeros_(layer.weight)
        return layer.requires_grad_(False)

    def position(self, dim: int) -> nn.Module:
        layer = nn.Linear(1, dim, bias=False)
        nn.init.zeros_(layer.weight)
        return layer.requires_grad_(False)


def test_a_collapsed_modality_is_named_while_the_total_loss_still_falls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = toy_recipe()
    latent = Objective(
        name="other_features", modality="other", target=TeacherFeatures(layers=(0,)), loss=mse
    )
    recipe = replace(
        recipe,
        modalities=(
            recipe.modalities[0],
            _AllAlike(name="other", num_tokens=6, num_values=3, mean=0.0),
        ),
        objectives=(recipe.objectives[0], latent),
        teacher=Teacher(decay=0.9, final_decay=0.9),
        data=replace(recipe.data, streams=streams(16)[:2]),
        optim=replace(recipe.optim, steps=80, warmup_steps=0),
        run=replace(recipe.run, log_every=10, checkpoint_every=100),
    )
    train(recipe, tmp_path / "run")
    found = lines(tmp_path / "run")
    assert found[-1]["collapsed"] == ["other"]
    assert not any("toy" in line["collapsed"] for line in found)
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]
    assert found[-1]["teacher_decay"] == 0.9
    assert found[-1]["hidden/toy"] == pytest.approx(0.5)
    assert "the features of other have collapsed" in capsys.readouterr().err


def test_watching_the_features_does_not_change_a_run(tmp_path: Path):
    recipe = with_teacher()
    train(recipe, tmp_path / "often")
    train(replace(recipe, run=replace(recipe.run, log_every=4)), tmp_path / "seldom")
    assert_same_weights(tmp_path / "often", tmp_path / "seldom")
