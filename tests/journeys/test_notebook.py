"""The notebook, cell after cell in one IPython, with a budget of a few steps."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.commands import python

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "quickstart.ipynb"
BUDGET = {"STEPS = 400": "STEPS = 10"}

RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in json.load(open("cells.json")):
    done = shell.run_cell(cell)
    done.raise_error()
"""


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if is_code(cell)]


def is_code(cell: dict[str, Any]) -> bool:
    return cell["cell_type"] == "code"


def text_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def tags_of(cell: dict[str, Any]) -> list[str]:
    return cell["metadata"].get("tags", [])


def test_it_is_committed_without_outputs_and_begins_by_installing():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells())
    assert text_of(cells()[0]).startswith("%pip install")
    assert [tags_of(cell) for cell in cells()].count(["install"]) == 1
    (parameters,) = [text_of(cell) for cell in cells() if tags_of(cell) == ["parameters"]]
    assert parameters in BUDGET


@pytest.mark.slow
def test_its_cells_run(few_files: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sample").symlink_to(few_files)
    texts = [text_of(cell) for cell in cells() if tags_of(cell) != ["install"]]
    (tmp_path / "cells.json").write_text(json.dumps([BUDGET.get(text, text) for text in texts]))
    status, said = python(RUN, folder=tmp_path)
    assert status == 0, said
    assert "image linear" in said
    assert (tmp_path / "runs" / "pictures" / "checkpoints" / "step-00000010").is_dir()
