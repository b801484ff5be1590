"""The tools that count and draw one step; what a step runs through does not grow unseen."""

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def run(tool: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_plain_step_runs_through_no_more_than_it_did(sample_data: Path):
    printed = run("count_step.py", "recipes.mae:debug", "--data", str(sample_data), "--list")
    found = re.search(r"(\d+) files, (\d+) functions, (\d+) names", printed)
    assert found is not None
    files, functions, names = map(int, found.groups())
    assert files <= 14
    assert functions <= 115
    assert names <= 28
    assert "omnimask/training/step.py:MaskedModel.forward" in printed
    assert "omnimask/training/optimisation.py:step_once" in printed
    assert "\n    Encoded\n" in printed, "records count among the names"
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    met = printed.partition("  names\n")[2].split()
    assert [name for name in met if f"`{name}`" not in page and name[0] != "_"] == []


def test_the_picture_of_a_step_is_drawn_from_a_real_one(sample_data: Path, tmp_path: Path):
    out = tmp_path / "step.png"
    run("draw_step.py", str(out), "--data", str(sample_data))
    with Image.open(out) as picture:
        assert picture.width > 1000
