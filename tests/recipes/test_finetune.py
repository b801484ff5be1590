"""Every fine-tuning recipe makes two steps on the sample data and says how well it did."""

from dataclasses import replace
from pathlib import Path

import pytest

import recipes.finetune
from omnimask.commands.finetune import finetune
from omnimask.commands.main import main
from omnimask.transfer.finetuning.recipe import Validation
from omnimask.transfer.finetuning.results import read_results
from recipes.small import MODALITIES


@pytest.mark.parametrize("name", MODALITIES)
def test_a_recipe_runs(name: str, sample_data: Path, tmp_path: Path):
    debug, recipe = recipes.finetune.debug(), recipes.finetune.sample(name)
    recipe = replace(
        recipe,
        encoder=debug.encoder,
        data=replace(recipe.data, root=str(sample_data)),
        task=replace(recipe.task, min_samples=1),  # the test's sample data are few
        optim=replace(recipe.optim, steps=2, warmup_steps=1),
        validation=Validation(),
        run=debug.run,
    )
    finetune(recipe, tmp_path / "run")
    (scores,) = (part["scores"] for part in read_results(tmp_path / "run")["streams"].values())
    assert 0.0 <= scores["accuracy"]["value"] <= 1.0


def test_the_command(sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["finetune", "recipes.finetune:debug", "--out", str(tmp_path / "run")]
    arguments += ["--set", f"data.root={sample_data}", "--set", "task.min_samples=1"]
    assert main(arguments) == 0
    assert "image accuracy: " in capsys.readouterr().out


def test_a_recipe_of_pretraining_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["finetune", "recipes.omni:debug"]) == 2
    assert "returned a Recipe, not a FinetuneRecipe" in capsys.readouterr().err
