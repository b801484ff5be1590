from pathlib import Path

import jaxtyping
import pytest

from tests.once import once
from tests.shape_checks import checked

jaxtyping.jaxtyped = checked  # before omnimask is imported


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of real files of every modality, made by the tool."""
    from omnimask.sample_data.make import make_sample_data

    return once(tmp_path_factory, "sample", lambda root: make_sample_data(root, scale=0.1))


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, so that no process waits for another in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
