"""What may change where a run goes on, and what must not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Optim
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.optimisation import learning_rate
from tests.unit.data.test_streams import seen, steps_of
from tests.unit.runs import lines, train_until
from tests.unit.toy_recipe import streams, toy_recipe


def with_batch(batch_size: int, accumulate: int, steps: int = 8) -> Recipe:
    recipe = toy_recipe()
    return replace(
        recipe,
        data=replace(recipe.data, streams=streams(batch_size)),
        optim=replace(recipe.optim, accumulate=accumulate, steps=steps),
    )


def test_the_batch_may_be_made_up_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_until(with_batch(4, 1), tmp_path / "run", 5, monkeypatch)
    train(with_batch(2, 2), tmp_path / "run")
    train(with_batch(4, 1), tmp_path / "whole")
    now, before = lines(tmp_path / "run"), lines(tmp_path / "whole")
    assert [line["step"] for line in now] == [line["step"] for line in before]
    for one, other in zip(now, before, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    state = load_checkpoint(last_checkpoint(tmp_path / "run")).state
    assert state["samples_seen"] == {"toy": 32, "other": 32, "both": 32}
    assert seen(steps_of(with_batch(2, 2)), 5) == seen(steps_of(with_batch(4, 1)), 5)


def test_the_batch_may_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_until(with_batch(4, 1), tmp_path, 5, monkeypatch)
    message = r"toy: 4 before, 8 now.*--set data.streams.toy.batch_size=4"
    with pytest.raises(RecipeError, match=message):
        train(with_batch(8, 1), tmp_path)


def test_nor_before_the_first_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_until(with_batch(4, 1), tmp_path, 1, monkeypatch)
    with pytest.raises(RecipeError, match="toy: 4 before, 8 now"):
        train(with_batch(8, 1), tmp_path)


def test_a_run_of_when_batches_were_of_one_process_goes_on_with_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Checkpoints did not say how large a step was; two processes of four had eight."""
    train_until(with_batch(8, 1), tmp_path, 5, monkeypatch)
    folder = last_checkpoint(tmp_path)
    state = json.loads((folder / "state.json").read_text())
    del state["samples_per_step"]
    (folder / "state.json").write_text(json.dumps(state))
    resum(folder)
    with pytest.raises(RecipeError, match=r"8 before, 4 now.*batch_size=8"):
        train(with_batch(4, 1), tmp_path)
    train(with_batch(8, 1), tmp_path)


def resum(folder: Path) -> None:
    from omnimask.foundation.checksums import write_checksums

    write_checksums(folder)


def test_a_finished_run_can_be_lengthened(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(with_batch(4, 1, steps=4), tmp_path)
    capsys.readouterr()
    train(with_batch(4, 1, steps=8), tmp_path)
    optim = with_batch(4, 1, steps=8).optim
    said = capsys.readouterr().out
    assert "raised from 4 to 8. From step 4 on" in said
    assert f"to {learning_rate(optim, 4):.3g}" in said
    rates = {line["step"]: line["lr"] for line in lines(tmp_path)}
    assert sorted(rates) == list(range(1, 9))
    assert rates[5] == learning_rate(optim, 4) > rates[4]
    assert json.loads((tmp_path / "recipe.json").read_text())["optim"]["steps"] == 8


def test_but_not_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_until(with_batch(4, 1), tmp_path, 5, monkeypatch)
    with pytest.raises(RecipeError, match=r"a run of 8 steps.*may be raised, not lowered to 7"):
        train(with_batch(4, 1, steps=7), tmp_path)


def test_other_parts_of_the_optimisation_stay(tmp_path: Path):
    train(with_batch(4, 1, steps=4), tmp_path)
    longer = with_batch(4, 1)
    warmer = replace(longer, optim=Optim(steps=8, lr=1e-2, warmup_steps=3))
    with pytest.raises(RecipeError, match=r"optim\.warmup_steps: 2 -> 3"):
        train(warmer, tmp_path)
