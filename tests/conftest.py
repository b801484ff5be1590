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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, so that no process waits for another in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
