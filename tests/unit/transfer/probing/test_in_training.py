"""Probes while pretraining: their numbers are logged, the training does not notice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Run
from omnimask.training.checkpoint import last_checkpoint
from omnimask.transfer.probing.run import probe
from omnimask.transfer.probing.settings import Probes
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import toy_recipe, with_teacher


def probing(recipe: Recipe, every: int) -> Recipe:
    return replace(recipe, run=replace(recipe.run, probe_every=every, log_every=3))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recipe", [toy_recipe(), with_teacher()], ids=["plain", "teacher"])
def test_weights_and_optimizer_are_bit_equal_with_and_without(recipe: Recipe, tmp_path: Path):
    # Branches are dropped in training mode alone, so that a mode left behind shows.
    recipe = replace(recipe, encoder=replace(recipe.encoder, drop_path=0.3))
    without = train(probing(recipe, 0), tmp_path / "without")
    among = train(probing(recipe, 4), tmp_path / "with")
    for name in ("model.safetensors", "optimizer.safetensors"):
        expected, got = load_file(without / name), load_file(among / name)
        assert expected.keys() == got.keys()
        for key, value in expected.items():
            assert torch.equal(value, got[key]), key
    probed = {line["step"] for line in lines(tmp_path / "with") if "probe/toy/knn" in line}
    assert probed == {4, 8}
    assert not any("probe/" in key for line in lines(tmp_path / "without") for key in line)


def test_the_last_numbers_are_those_of_the_finished_run(tmp_path: Path):
    train(probing(toy_recipe(), 4), tmp_path / "run")
    results = probe(tmp_path / "run", settings=Probes(random_seeds=()))
    found = {f"probe/{score.stream}/{score.probe}": score.value for score in results.scores}
    assert len(found) == 6
    logged = {k: v for k, v in lines(tmp_path / "run")[-1].items() if k.startswith("probe/")}
    assert logged == pytest.approx(found)


def test_files_that_probes_cannot_read_are_said_once_and_do_not_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = probing(toy_recipe(), 4)
    first, *others = recipe.data.streams
    bad = replace(first, held_out={"toy": ToyFiles(path="held_out", num_samples=12, bad=(3,))})
    recipe = replace(recipe, data=replace(recipe.data, streams=(bad, *others)))
    train(recipe, tmp_path / "run")
    (listed,) = (tmp_path / "run/bad_files.jsonl").read_text().splitlines()
    entry = json.loads(listed)
    assert (entry["use"], entry["stream"]) == ("probes", "toy")
    assert entry["name"].endswith("held_out-003.toy")
    assert capsys.readouterr().err.count("could not read class-0/held_out-003.toy for probes") == 1
    assert {line["step"] for line in lines(tmp_path / "run") if "probe/toy/knn" in line} == {4, 8}


def test_every_module_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import omnimask.transfer.probing.in_training as module

    seen = []
    measure = module.TrainingProbes.numbers

    def watched(self: Any, step: int) -> dict[str, float]:
        modes = [part.training for part in self.job.model.modules()]
        random = torch.get_rng_state()
        found = measure(self, step)
        assert torch.equal(random, torch.get_rng_state()), "nothing random is used up"
        seen.append(modes == [part.training for part in self.job.model.modules()])
        assert any(modes)
        return found

    monkeypatch.setattr(module.TrainingProbes, "numbers", watched)
    train(probing(with_teacher(), 4), tmp_path / "run")
    assert last_checkpoint(tmp_path / "run")
    assert seen
    assert all(seen)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(RecipeError, match=r"run\.probe_every must be >= 0"):
        Run(probe_every=-1)
