import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of real files of every modality, made by the tool."""
    root = tmp_path_factory.mktemp("sample") / "data"
    subprocess.run(
        [sys.executable, "tools/make_sample_data.py", str(root), "--scale", "0.1"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return root
