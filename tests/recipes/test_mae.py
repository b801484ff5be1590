"""The published numbers of MAE."""

from omnimask.masking import RandomMask
from recipes.mae import base, huge
from tests.unit.masking_cases import keys, layout, part


def test_49_of_196_patches_are_shown_and_147_predicted():
    masker = base().masker
    assert isinstance(masker, RandomMask)
    (plan,) = masker(layout(image=part({"h": 14, "w": 14}, (196,) * 3)), keys(3))
    assert plan.num_visible == (49,) * 3
    assert plan.num_predict == (147,) * 3


def test_the_rate_is_that_of_a_batch_of_4096():
    recipe = base()
    assert abs(recipe.optim.lr - 2.4e-3) < 1e-9
    assert recipe.data.streams[0].batch_size * recipe.optim.accumulate == 4096
    assert recipe.optim.steps == 1600 * 312
    assert recipe.optim.warmup_steps == 40 * 312


def test_the_huge_model_has_patches_of_14():
    assert huge().modality("image").grid == {"h": 16, "w": 16}
