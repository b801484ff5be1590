"""What is particular to BEiT v2: blocks of 75 of 196, and the codes of a finished tokenizer."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.masking import Masker
from omnimask.objectives.heads import SharedHead
from omnimask.objectives.objective import Outcome
from omnimask.objectives.targets import TeacherCodes
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from omnimask.training.teacher_network import load_frozen
from recipes.beit2 import base, base_300, cpu, large, parts
from recipes.vqkd import CODEBOOK
from tests.recipes.catalogue import first_batch, load, shown_of
from tests.steps import encode
from tests.unit.masking_cases import keys, layout, part


def hidden_of(masker: Masker, grid: dict[str, int]) -> torch.Tensor:
    num_tokens = torch.tensor(list(grid.values())).prod().item()
    (plan,) = masker(layout(image=part(grid, (int(num_tokens),) * 16)), keys(16))
    return ~shown_of(plan, int(num_tokens)).unflatten(1, tuple(grid.values()))


def test_75_of_196_patches_are_hidden_in_blocks():
    hidden = hidden_of(base().masker, {"h": 14, "w": 14})
    assert hidden.flatten(1).sum(dim=1).tolist() == [75] * 16
    # Neighbours are far more often alike than the 0.53 of single tokens drawn at random.
    alike = (hidden[:, :, 1:] == hidden[:, :, :-1]).float().mean()
    assert alike > 0.75


def test_a_block_of_a_video_spans_all_frames():
    hidden = hidden_of(parts("video").masker, {"t": 4, "h": 6, "w": 6})
    assert (hidden == hidden[:, :1]).all()


def test_the_codes_are_those_that_the_tokenizers_run_gives_the_whole_image(
    sample_data: Path, tmp_path: Path
):
    tokenizer = load("recipes.vqkd:debug", sample_data)
    train(tokenizer, tmp_path / "vqkd")
    saved = load_checkpoint(last_checkpoint(tmp_path / "vqkd"))
    trained = build_model(saved.recipe).eval()
    trained.load_state_dict(saved.weights)

    teacher = FrozenTeacher(run=str(tmp_path / "vqkd"), decoder="main")
    recipe = fit(replace(load("recipes.beit2:debug", sample_data), teacher=teacher))
    model, batch = build_model(recipe), first_batch(recipe)
    load_frozen(model.teacher, recipe.teacher)  # pyright: ignore[reportArgumentType]
    (view,) = model.views(batch)
    truths = model.truths(view, Outcome())

    (whole,) = encode(trained, batch)
    codes = trained.decoders["main"].codes(whole)  # pyright: ignore[reportCallIssue]
    assert len(codes.unique()) > 1
    for name in ("image_codes", "image_codes_early"):
        assert torch.equal(truths[name].flatten(), codes.float())


@pytest.mark.parametrize(
    ("recipe", "epochs", "beta", "drop_path", "early"),
    [
        (base(), 1600, 0.999, 0.1, 9),
        (base_300(), 300, 0.98, 0.0, 9),
        (large(), 1600, 0.999, 0.1, 21),
    ],
)
def test_published_numbers(recipe, epochs: int, beta: float, drop_path: float, early: int):
    """PRETRAINING.md."""
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 2048
    assert recipe.optim.steps == epochs * (1_281_167 // 2048)
    assert recipe.optim.betas == (0.9, beta)
    assert recipe.encoder.drop_path == drop_path
    decoder = recipe.decoders["early"]
    assert recipe.encoder.depth + decoder.layer + 1 == early


def test_students_and_tokenizers_have_as_many_codes():
    codes = TeacherCodes(num_codes=CODEBOOK.num_codes)
    assert [o.target for o in cpu().objectives] == [codes] * 2


def test_norm_and_output_layer_are_shared(few_files: Path):
    """Both heads train them; a checkpoint has them once."""
    recipe = fit(load("recipes.beit2:debug", few_files))
    model = build_model(recipe)
    assert set(model.heads) == {"image_codes"}
    assert not any(name.startswith("decoders.early.norm") for name in model.state_dict())
    gradients = []
    for name in ("image_codes", "image_codes_early"):
        model.zero_grad()
        model(first_batch(recipe)).sums[name].total.backward()
        for shared in (model.heads["image_codes"].weight, model.backbone.encoder.norm.weight):
            assert shared.grad is not None
            assert shared.grad.abs().sum() > 0
        gradients.append(model.heads["image_codes"].weight.grad.clone())
    assert not torch.allclose(*gradients)


def test_a_shared_head_has_an_owner():
    recipe = base()
    first, second = recipe.objectives
    with pytest.raises(RecipeError, match="objectives with a head of their own"):
        replace(recipe, objectives=(first, replace(second, head=SharedHead(objective="other"))))
