"""Every recipe's run ends in a report, at its debug size, on real files.

The mixed recipes have the streams of `recipes.omni:debug` and the parts of methods that are here by
themselves: of them that one stands for all.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from omnimask.report.write import write_report
from tests.recipes.catalogue import DEBUG, MIXED, load


@pytest.mark.slow
@pytest.mark.parametrize("reference", [name for name in DEBUG if name not in MIXED])
def test_the_report_of_a_run_is_written(reference: str, sample_data: Path, tmp_path: Path):
    recipe = load(reference, sample_data)
    train(replace(recipe, optim=replace(recipe.optim, steps=1, warmup_steps=0)), tmp_path)
    page = write_report(tmp_path)
    results = json.loads((page.parent / "results.json").read_text())
    found = {entry["objective"] for entry in results["held_out_losses"]}
    assert found == {objective.name for objective in recipe.objectives}
