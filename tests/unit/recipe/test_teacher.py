import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.teacher import Teacher


def test_the_decay_rises_linearly_over_the_ramp_and_then_stays():
    teacher = Teacher(decay=0.5, final_decay=0.9, ramp=0.5)
    decays = [teacher.decay_at(progress) for progress in (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)]
    assert decays == pytest.approx([0.5, 0.6, 0.7, 0.9, 0.9, 0.9])


def test_the_default_ramp_is_the_whole_run_and_none_is_the_final_decay():
    assert Teacher(decay=0.5, final_decay=0.9).decay_at(0.5) == pytest.approx(0.7)
    assert Teacher(decay=0.5, final_decay=0.9, ramp=0.0).decay_at(0.0) == pytest.approx(0.9)


def test_a_decay_that_falls_is_refused():
    with pytest.raises(RecipeError, match="decay <= final_decay"):
        Teacher(decay=0.9, final_decay=0.5)
