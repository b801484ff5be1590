"""Parts that cannot work together fail when the recipe is made, before any file is read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modalities.image import ImagePatches
from omnimask.commands.pretrain import train
from omnimask.decoders import ConvDecoder, NoDecoder, SpanDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import BlockMask, Copies, GuidedMask
from omnimask.recipe.loading import load_named_recipe
from omnimask.recipe.recipe import Recipe
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from recipes import hpm, mae, maskdistill, pointcmae
from tests.recipes.catalogue import load

CASES: dict[str, tuple[Callable[[], Recipe], str]] = {
    "no decoder, though hidden tokens are dropped": (
        lambda: replace(mae.cpu(), decoders={"main": NoDecoder()}),
        r"decoders\['main'\] is a NoDecoder, which needs hidden='replace', but the recipe says "
        r"hidden='drop'",
    ),
    "a decoder, though hidden tokens are replaced": (
        lambda: replace(mae.cpu(), hidden="replace"),
        "needs hidden='drop', but the recipe says hidden='replace'",
    ),
    "a grid masker on points": (
        lambda: replace(mae.cpu("points"), masker=BlockMask()),
        "BlockMask needs a grid of two or more axes",
    ),
    "copies with a guided masker and no teacher": (
        lambda: replace(
            hpm.cpu(),
            masker=Copies(masker=GuidedMask(hint="image_hardness"), copies=2),
            teacher=None,
        ),
        "recipe.masker asks for the hint 'image_hardness', which an EMA teacher predicts, but "
        "recipe.teacher is None; write teacher=Teacher",
    ),
    "agreement of two masks, of which there is one": (
        lambda: replace(pointcmae.cpu(), masker=pointcmae.cpu().masker.masker),
        r"write masker=Copies\(masker=..., copies=2\)",
    ),
    "a decoder of another modality": (
        lambda: replace(mae.cpu(), decoders={"main": SpanDecoder(modality="video")}),
        r"modality is 'image', but decoders\['main'\].modality is 'video'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_fields_and_a_fix_are_named(case: str):
    make, message = CASES[case]
    with pytest.raises(RecipeError, match=message):
        make()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("recipes.mae:cpu:imge", "recipes.mae works on image, .* got 'imge'; did you mean image"),
        ("recipes.colormae:cpu:table", "recipes.colormae works on image, video, audio, .*got"),
        ("recipes.mae:base:audio", "base takes no argument; write recipes.mae:base"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(reference: str, message: str):
    with pytest.raises(RecipeError, match=message):
        load_named_recipe(reference)


def test_a_convolution_needs_a_grid(sample_data: Path):
    recipe = replace(mae.cpu("points"), decoders={"main": ConvDecoder(width=64, groups=4)})
    with pytest.raises(RecipeError, match="SelfAttentionDecoder"):
        build_model(recipe)


def test_a_teacher_with_other_patches_is_refused_and_leaves_no_folder(
    sample_data: Path, tmp_path: Path
):
    train(load("recipes.mae:debug", sample_data), tmp_path / "teacher")
    recipe = load("recipes.maskdistill:debug", sample_data)
    teacher = replace(maskdistill.cpu().teacher, run=str(tmp_path / "teacher"))
    recipe = replace(recipe, teacher=teacher)
    fit(recipe)
    coarse = replace(recipe, modalities=(ImagePatches(size=(32, 32), patch=(8, 8)),))
    with pytest.raises(RecipeError, match=r"modalities.image.*grid.*teacher"):
        train(coarse, tmp_path / "student")
    assert not (tmp_path / "student").exists()
