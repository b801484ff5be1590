"""Which truth a loss compares with, which tokens count, and how sums become one loss: by hand.

Two samples of two modalities, `a` at tokens 0 to 2 and `b` at tokens 3 to 6, under two masks each.
Every truth is another power of two, so that a sum says which tokens are in it.
"""

from typing import Literal

import pytest
import torch
from torch import Tensor

from omnimask.masking.plan import MaskPlan
from omnimask.objectives.losses import mse
from omnimask.objectives.objective import (
    LossSum,
    Objective,
    align,
    counted_truths,
    evaluate_objective,
    sum_losses,
    token_losses,
    total_loss,
)
from omnimask.objectives.targets import Content, Truth
from tests.unit.masking_cases import layout, part

LAYOUT = layout(a=part(3, [3, 2]), b=part(4, [4, 3]))
# Rows 0 and 1 belong to sample 0, rows 2 and 3 to sample 1. Rows 2 and 3 are padded with 0, which
# row 2 shows and row 3 hides.
PLAN = MaskPlan(
    visible_ids=torch.tensor([[0, 3], [1, 5], [0, 4], [3, 0]]),
    visible_ok=torch.tensor([[True, True], [True, True], [True, True], [True, False]]),
    predict_ids=torch.tensor([[1, 4, 6], [0, 4, 5], [3, 5, 0], [0, 4, 5]]),
    predict_ok=torch.tensor([[True] * 3, [True] * 3, [True, True, False], [True] * 3]),
    num_visible=(2, 2, 2, 1),
    num_predict=(3, 3, 2, 3),
    copies=2,
)
NAN = float("nan")  # stands where nothing is known, and must not be seen in any sum
TRUTHS = {
    "a": ([[256.0, 512.0, 1024.0], [2048.0, 4096.0, NAN]], [[1, 1, 1], [1, 1, 0]]),
    "b": ([[1.0, 2.0, 4.0, 8.0], [16.0, 32.0, NAN, NAN]], [[1, 1, 1, 1], [1, 1, 0, 0]]),
}
# By modality and `where`: the truths that count, row by row.
COUNTED = {
    ("a", "hidden"): [512, 256, 2048],
    ("a", "all"): [512, 256, 2048],
    ("a", "visible"): [],
    ("b", "hidden"): [2, 8, 2, 16, 32],
    ("b", "all"): [2, 8, 2, 4, 16, 32],
    ("b", "visible"): [4],
}


def the_truth_itself(predicted: Tensor, truth: Tensor) -> Tensor:
    return truth[..., 0]


def objective(modality: str, where: Literal["hidden", "visible", "all"] = "hidden") -> Objective:
    return Objective(
        name=modality, modality=modality, target=Content(), loss=the_truth_itself, where=where
    )


def truth_of(modality: str) -> Truth:
    values, known = TRUTHS[modality]
    return Truth(values=torch.tensor(values)[:, :, None], known=torch.tensor(known).bool())


PREDICTED = torch.zeros(4, 3, 1)


@pytest.mark.parametrize(("modality", "where"), COUNTED)
def test_a_loss_is_of_the_tokens_asked_for_and_of_no_others(modality: str, where):
    expected = COUNTED[modality, where]
    asked = objective(modality, where)
    part = evaluate_objective(asked, PREDICTED, truth_of(modality), layout=LAYOUT, plan=PLAN)
    assert (part.total.item(), part.count.item()) == (sum(expected), len(expected))
    found = counted_truths(asked, truth_of(modality), layout=LAYOUT, plan=PLAN)
    assert found.flatten().tolist() == expected


def test_a_second_modalitys_tokens_meet_their_own_truth_place_by_place():
    aligned = align(objective("b", "all"), truth_of("b"), layout=LAYOUT, plan=PLAN)
    rows = torch.where(aligned.known, aligned.values[..., 0], 0.0)
    assert rows.tolist() == [[0, 2, 8], [0, 2, 4], [16, 0, 0], [0, 32, 0]]


def test_losses_where_nothing_is_known_are_zero():
    aligned = Truth(values=torch.tensor([[[1.0], [NAN]]]), known=torch.tensor([[True, False]]))
    losses = token_losses(objective("a"), torch.zeros(1, 2, 1), aligned)
    assert losses.tolist() == [[1.0, 0.0]]


def test_the_count_is_of_tokens_with_a_loss():
    part = sum_losses(torch.tensor([[3.0, 0.0, 5.0]]), torch.tensor([[True, False, True]]))
    assert (part.total.item(), part.count.item()) == (8.0, 2.0)


def loss_sum(total: float, count: float) -> LossSum:
    return LossSum(total=torch.tensor(total), count=torch.tensor(count))


def test_groups_add_their_sums_and_their_counts():
    both = loss_sum(3.0, 2.0) + loss_sum(5.0, 4.0)
    assert (both.total.item(), both.count.item()) == (8.0, 6.0)


def test_the_total_is_each_weight_times_its_mean_over_the_whole_step():
    sums = {"a": loss_sum(6.0, 3.0), "b": loss_sum(8.0, 2.0), "own/codes": loss_sum(5.0, 5.0)}
    counts = {"a": torch.tensor(12.0), "b": torch.tensor(2.0), "own/codes": torch.tensor(10.0)}
    total = total_loss(sums, counts, {"a": 4.0, "b": 0.25})
    assert total.item() == 4.0 * 6 / 12 + 0.25 * 8 / 2 + 1.0 * 5 / 10


def test_an_objective_with_nothing_to_predict_adds_zero():
    sums = {"a": loss_sum(6.0, 3.0), "b": loss_sum(0.0, 0.0)}
    counts = {name: part.count for name, part in sums.items()}
    assert total_loss(sums, counts, {"a": 1.0, "b": 1.0}).item() == 2.0


def test_half_precision_around_it_leaves_losses_in_fp32():
    aligned = Truth(values=torch.full((1, 1, 1), 0.001), known=torch.ones(1, 1, dtype=torch.bool))
    asked = Objective(name="a", modality="a", target=Content(), loss=mse)
    with torch.autocast("cpu", torch.bfloat16):
        losses = token_losses(asked, torch.ones(1, 1, 1, dtype=torch.bfloat16), aligned)
    assert losses.item() == pytest.approx(0.999**2, rel=1e-6)
