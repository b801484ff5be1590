"""What `omnimask sweep --over` makes of its words."""

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.grid import grid, read_axis


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("masker.ratio=0.5,0.75", ("masker.ratio=0.5", "masker.ratio=0.75")),
        (
            "modalities.image.size=(32, 32),(64, 64)",
            ("modalities.image.size=(32, 32)", "modalities.image.size=(64, 64)"),
        ),
        ("hidden=drop, replace", ("hidden=drop", "hidden=replace")),
        ("optim.clip_norm=None,1.0", ("optim.clip_norm=None", "optim.clip_norm=1.0")),
    ],
)
def test_values_are_parted_at_commas_outside_of_brackets(said: str, expected: tuple[str, ...]):
    assert read_axis(said) == expected


def test_a_grid_has_every_combination():
    assert grid(["a=1,2", "b=3,4"]) == [
        ("a=1", "b=3"),
        ("a=1", "b=4"),
        ("a=2", "b=3"),
        ("a=2", "b=4"),
    ]
    assert grid([]) == [()]


@pytest.mark.parametrize("said", ["masker.ratio", "masker.ratio=", "seed=1,1"])
def test_what_is_no_axis_is_refused(said: str):
    with pytest.raises(RecipeError, match="--over"):
        read_axis(said)
