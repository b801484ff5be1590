"""Recipes that cannot work fail before training, naming the two fields and a fix."""

from dataclasses import replace

import pytest

from omnimask.decoders import NoDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import PerModality, RandomMask, TubeMask
from omnimask.network.encoder import Encoder, vit
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content, TeacherFeatures
from omnimask.recipe.settings import Data, Stream
from omnimask.recipe.teacher import Teacher
from tests.unit.toy import Toy, ToyFiles
from tests.unit.toy_recipe import toy_recipe

FEATURES = Objective(name="features", modality="toy", target=TeacherFeatures(), loss=mse)
TWICE = (Toy(), Toy())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": TWICE}, "two modalities have the same name"),
        ({"decoders": {"main": NoDecoder()}}, "needs hidden='replace', but the recipe says"),
        ({"hidden": "replace"}, "needs hidden='drop'"),
        ({"objectives": (FEATURES,)}, "reads a teacher, but recipe.teacher is None"),
        ({"teacher": Teacher()}, "no objective's target or masker reads it"),
        ({"masker": PerModality(masks={"toy": RandomMask()})}, "other"),
        ({"masker": TubeMask(axis="f")}, "'f'"),
        (
            {"objectives": (replace(FEATURES, modality="toyy", target=Content()),)},
            "'toyy' is unknown; did you mean toy",
        ),
        (
            {"objectives": (replace(FEATURES, decoder="mian", target=Content()),)},
            "'mian' is unknown; did you mean main",
        ),
        (
            {"data": Data(root=".", streams=(Stream(name="a", files={"toy": ToyFiles()}),))},
            r"no stream has files for \['other'\]",
        ),
    ],
)
def test_parts_that_cannot_work_together_are_named(changes: dict, message: str):
    with pytest.raises(RecipeError, match=message):
        replace(toy_recipe(), **changes)


def test_teacher_layers_must_exist():
    deep = replace(FEATURES, target=TeacherFeatures(layers=(-3,)))
    with pytest.raises(RecipeError, match=r"-1 to -2 \(encoder.depth\)"):
        replace(toy_recipe(), teacher=Teacher(), objectives=(deep,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RandomMask(ratio=75.0),
            r"mask ratio must be in \(0, 1\), got 75(.0)?; write 0.75",
        ),
        (lambda: Encoder(width=100, num_heads=12), "width must be num_heads times an even number"),
        (lambda: vit("smal"), "did you mean small"),
        (lambda: Stream(name="a", files={}, batch_size=0), "batch_size must be >= 1"),
        (lambda: Teacher(decay=1.5), "teacher: expected 0 <= decay"),
        (lambda: replace(FEATURES, weight=-1.0), "weight must be >= 0"),
    ],
)
def test_values_out_of_range_are_refused(make, message: str):
    with pytest.raises(RecipeError, match=message):
        make()


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large", "huge"])
def test_encoder_sizes_are_those_of_the_papers(size: str):
    millions = {"tiny": 5.4, "small": 21.4, "base": 85.1, "large": 302.4, "huge": 629.8}
    encoder = vit(size)
    per_block = 12 * encoder.width**2 + 13 * encoder.width
    assert encoder.depth * per_block / 1e6 == pytest.approx(millions[size], rel=0.02)
