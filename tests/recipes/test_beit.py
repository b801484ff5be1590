"""What is particular to BEiT: 75 of 196 patches in blocks, codes of a tokenizer of pixels."""

from dataclasses import replace
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from omnimask.masking import ShowAll
from omnimask.objectives.targets import TeacherCodes
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.training.checkpoint import load_recipe
from recipes.beit import base, cpu, large, tokenizer, tokenizer_cpu
from recipes.small import debug_size
from tests.unit.masking_cases import keys, layout, part
from tests.unit.runs import losses


def test_75_of_196_patches_are_replaced_in_blocks():
    (plan,) = base().masker(layout(image=part({"h": 14, "w": 14}, (196,) * 4)), keys(4))
    assert plan.num_predict == (75,) * 4
    assert base().hidden == "replace"


def test_the_encoder_knows_distances_alone():
    for recipe, scale in ((base(), 0.1), (large(), 1e-5)):
        encoder = recipe.encoder
        assert (encoder.positions, encoder.relative_bias) == ("none", "shared")
        assert (encoder.init, encoder.style.layer_scale) == ("normal_by_depth", scale)
        assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 2048


def test_the_tokenizer_rebuilds_every_token_from_its_code():
    for recipe in (tokenizer(), tokenizer_cpu()):
        assert isinstance(recipe.masker, ShowAll)
        assert [o.where for o in recipe.objectives] == ["all"]
    assert tokenizer().decoders["main"].num_codes == 8192


@pytest.mark.slow
def test_the_codes_are_those_of_a_tokenizer_that_was_trained(few_files: Path, tmp_path: Path):
    def small(recipe: Recipe) -> Recipe:
        return debug_size(replace(recipe, data=replace(recipe.data, root=str(few_files))))

    train(small(tokenizer_cpu()), tmp_path / "tokenizer")
    teacher = FrozenTeacher(run=str(tmp_path / "tokenizer"), decoder="main")
    train(small(replace(cpu(), teacher=teacher)), tmp_path / "run")
    saved = load_recipe(next((tmp_path / "run/checkpoints").glob("step-*")))
    (objective,) = saved.objectives
    assert objective.target == TeacherCodes(num_codes=256)
    assert len(losses(tmp_path / "run")) == 4
