from collections.abc import Callable
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from tests.once import once
from tests.recipes.catalogue import load


@pytest.fixture(scope="session")
def few_files(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data with two pictures of each class, since reports and statistics read all."""

    def link(root: Path) -> None:
        root.mkdir()
        for part in sample_data.iterdir():
            if part.name != "images":
                (root / part.name).symlink_to(part)
        for folder in (path for path in (sample_data / "images").glob("*/*") if path.is_dir()):
            (root / folder.relative_to(sample_data)).mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:2]:
                (root / picture.relative_to(sample_data)).symlink_to(picture)

    return once(tmp_path_factory, "few", link)


@pytest.fixture(scope="session")
def whole_run(few_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """By reference the uninterrupted run of a recipe; to be read, not written to."""

    def run_of(reference: str) -> Path:
        recipe = load(reference, few_files)
        name = reference.replace(":", ".")
        return once(tmp_path_factory, name, lambda out: train(recipe, out))

    return run_of
