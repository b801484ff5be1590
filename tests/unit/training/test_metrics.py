"""What a log line says of a few steps, by hand."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from omnimask.data.streams import StepBatch
from omnimask.objectives.objective import LossSum, Outcome
from omnimask.training.metrics import StepMeter
from omnimask.training.optimisation import StepReport
from omnimask.training.pretraining import Pretraining
from tests.unit.toy_recipe import toy_recipe

NAMES = ("toy_content", "other_content")
NAN = float("nan")


def meter() -> StepMeter:
    """Of a run whose objectives weigh 2 and 0.5."""
    recipe = toy_recipe()
    weighted = [replace(o, weight=w) for o, w in zip(recipe.objectives, (2.0, 0.5), strict=True)]
    job = Pretraining(recipe=replace(recipe, objectives=tuple(weighted)))
    return StepMeter(job, Accelerator(cpu=True))


def report(
    step: int, *sums: tuple[float, float], skipped: bool = False, norm: float = 1.0
) -> StepReport:
    parts = [LossSum(total=torch.tensor(t), count=torch.tensor(c)) for t, c in sums]
    return StepReport(
        step=step,
        outcome=Outcome(sums=dict(zip(NAMES, parts, strict=True)), num_tokens=10),
        grad_norm=torch.tensor(norm),
        skipped=torch.tensor(float(skipped)),
        learning_rate=0.1,
    )


def summary(*reports: StepReport, of: StepMeter | None = None) -> dict[str, Any]:
    of = of or meter()
    for each in reports:
        of.add(each, StepBatch(step=each.step, micro=((),), bad=()))
    return of.summary(reports[-1].step + 1)


def test_a_mean_is_over_the_tokens_of_all_steps():
    line = summary(report(0, (6.0, 3.0), (4.0, 1.0)), report(1, (2.0, 1.0), (2.0, 5.0), norm=3.0))
    assert line["loss/toy_content"] == 8 / 4
    assert line["loss/other_content"] == 6 / 6
    assert line["loss"] == 2.0 * 2 + 0.5 * 1
    assert (line["tokens/toy_content"], line["tokens/other_content"]) == (4, 6)
    assert line["grad_norm"] == 2.0
    assert (line["step"], line["skipped"]) == (2, [])


@pytest.mark.parametrize("value", [100.0, NAN])
def test_a_skipped_step_does_not_count(value: float):
    bad = report(1, (value, 50.0), (1.0, 1.0), skipped=True)
    line = summary(report(0, (6.0, 3.0), (4.0, 1.0)), bad)
    assert line["loss/toy_content"] == 2.0
    assert line["loss/other_content"] == 4.0
    assert line["tokens/toy_content"] == 3
    assert [entry["step"] for entry in line["skipped"]] == [2], "counted as in metrics.jsonl"


def test_a_line_of_nothing_but_skipped_steps_has_no_loss():
    line = summary(report(0, (NAN, 3.0), (NAN, 1.0), skipped=True))
    assert line["loss"] == 0.0


def test_skips_count_in_a_row_across_log_lines():
    counting = meter()
    fine, bad = ((1.0, 1.0), (1.0, 1.0)), ((NAN, 1.0), (NAN, 1.0))
    first = summary(report(0, *fine), report(1, *bad, skipped=True), of=counting)
    second = summary(report(2, *bad, skipped=True), of=counting)
    third = summary(report(3, *fine), report(4, *bad, skipped=True), of=counting)
    assert [line["skipped_in_a_row"] for line in (first, second, third)] == [1, 2, 1]
