"""Every recipe's run ends in a report, at its debug size, on real files.

The mixed recipes have the streams of `recipes.omni:debug` and the parts of methods that are here by
themselves: of them that one stands for all.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from omnimask.report.write import write_report
from omnimask.training.checkpoint import last_checkpoint, load_recipe
from tests.recipes.catalogue import DEBUG, MIXED


@pytest.mark.slow
@pytest.mark.parametrize(
    "reference",
    [name for name in DEBUG if name not in MIXED],
)
def test_the_report_of_a_run_is_written(
    reference: str, whole_run: Callable[[str], Path], tmp_path: Path
):
    page = write_report(shutil.copytree(whole_run(reference), tmp_path / "run"))
    results = json.loads((page.parent / "results.json").read_text())
    found = {entry["objective"] for entry in results["held_out_losses"]}
    recipe = load_recipe(last_checkpoint(tmp_path / "run"))
    assert found == {objective.name for objective in recipe.objectives}
