from collections.abc import Callable
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from tests.once import once
from tests.recipes.catalogue import load


@pytest.fixture(scope="session")
def whole_run(few_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By reference the uninterrupted run of a recipe; to be read, not written to."""

    def run_of(reference: str) -> Path:
        recipe = load(reference, few_files)
        name = reference.replace(":", ".")
        return once(tmp_path_factory, name, lambda out: train(recipe, out))

    return run_of
