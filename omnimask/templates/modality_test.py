"""The modality example and its recipe, on files made here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnimask.templates.modality import ExampleFiles, ExampleTokens
from omnimask.templates.modality_recipes import mine
from omnimask.testing import check_modality, check_recipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labels, four files each."""
    for periods in (1, 2):
        folder = tmp_path / "data" / "train" / f"periods-{periods}"
        folder.mkdir(parents=True)
        for number in range(4):
            angles = np.linspace(0, 2 * np.pi * periods, 64) + number
            np.savetxt(folder / f"{number}.example", np.sin(angles))
    return tmp_path / "data"


def test_it_keeps_the_contract(data: Path):
    check_modality(ExampleTokens(), ExampleFiles(), data, compared={"signal": 1e-5})


def test_its_recipe_trains(data: Path, tmp_path: Path):
    recipe = mine()
    check_recipe(replace(recipe, data=replace(recipe.data, root=str(data))), tmp_path / "runs")
