from pathlib import Path

import pytest

from tools.make_sample_data import make_sample_data


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of real files of every modality, made by the tool."""
    root = tmp_path_factory.mktemp("sample") / "data"
    make_sample_data(root, scale=0.1)
    return root
