"""Which truth a loss compares with, which tokens count, and how sums become one loss: by hand.

Two samples of two modalities, `a` at tokens 0 to 2 and `b` at tokens 3 to 6, under two masks each.
Every truth is another power of two, so that a sum says which tokens are in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import Tensor

from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Encoded
from omnimask.objectives.objective import LossSum, Objective, Outcome, mse
from omnimask.objectives.targets import Content
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Group, Layout, Tokens, View
from tests.unit.masking_cases import part

TOKENS = {"a": part(3, [3, 2]), "b": part(4, [4, 3])}
GROUP = Group(stream="", raw={}, keys=torch.arange(2), names=("first", "second"))
VIEW = View(group=GROUP, tokens=TOKENS, layout=Layout.of(TOKENS))
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
ENCODED = Encoded(view=VIEW, plan=PLAN)
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


@dataclass(frozen=True)
class Given:
    """Says where it is known as `TRUTHS` has it."""

    modality: str

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        return 1

    def known(self, tokens: Tokens, /) -> Tensor:
        assert tokens is TOKENS[self.modality]
        return torch.tensor(TRUTHS[self.modality][1]).bool()

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Tensor:
        return truth_of(self.modality)


def objective(modality: str, where: Literal["hidden", "visible", "all"] = "hidden") -> Objective:
    return Objective(
        name=modality, modality=modality, target=Given(modality), loss=the_truth_itself, where=where
    )


def truth_of(modality: str) -> Tensor:
    return torch.tensor(TRUTHS[modality][0])[:, :, None]


PREDICTED = torch.zeros(4, 3, 1)


@pytest.mark.parametrize(("modality", "where"), COUNTED)
def test_a_loss_is_of_the_tokens_asked_for_and_of_no_others(modality: str, where):
    expected = COUNTED[modality, where]
    asked = objective(modality, where)
    counted = asked.counted(ENCODED)
    truth = ENCODED.at_predicted(truth_of(modality), modality)
    losses = asked.losses(PREDICTED, truth, counted)
    assert (losses.sum().item(), counted.sum().item()) == (sum(expected), len(expected))
    assert truth[counted].flatten().tolist() == expected


def test_a_second_modalitys_tokens_meet_their_own_truth_place_by_place():
    counted = objective("b", "all").counted(ENCODED)
    rows = torch.where(counted, ENCODED.at_predicted(truth_of("b"), "b")[..., 0], 0.0)
    assert rows.tolist() == [[0, 2, 8], [0, 2, 4], [16, 0, 0], [0, 32, 0]]


def test_losses_where_nothing_is_known_are_zero():
    truth, counted = torch.tensor([[[1.0], [NAN]]]), torch.tensor([[True, False]])
    losses = objective("a").losses(torch.zeros(1, 2, 1), truth, counted)
    assert losses.tolist() == [[1.0, 0.0]]


def loss_sum(total: float, count: float) -> LossSum:
    return LossSum(total=torch.tensor(total), count=torch.tensor(count))


def test_groups_add_their_sums_and_their_counts():
    outcome, sums = Outcome(sums={"other": loss_sum(1.0, 1.0)}), {"both": loss_sum(5.0, 4.0)}
    outcome.add("both", torch.tensor(3.0), 2)
    outcome.add_batch(Outcome(sums=sums))
    sums = outcome.sums
    assert (sums["both"].total.item(), sums["both"].count.item()) == (8.0, 6.0)
    assert (sums["other"].total.item(), sums["other"].count.item()) == (1.0, 1.0)


def test_the_total_is_each_weight_times_its_mean_over_the_whole_step():
    sums = {"a": loss_sum(6.0, 3.0), "b": loss_sum(8.0, 2.0), "own/codes": loss_sum(5.0, 5.0)}
    counts = {"a": torch.tensor(12.0), "b": torch.tensor(2.0), "own/codes": torch.tensor(10.0)}
    total = Outcome(sums=sums).loss({"a": 4.0, "b": 0.25}, counts)
    assert total.item() == 4.0 * 6 / 12 + 0.25 * 8 / 2 + 1.0 * 5 / 10


def test_an_objective_with_nothing_to_predict_adds_zero():
    sums = {"a": loss_sum(6.0, 3.0), "b": loss_sum(0.0, 0.0)}
    assert Outcome(sums=sums).loss({"a": 1.0, "b": 1.0}).item() == 2.0


def test_half_precision_around_it_leaves_losses_in_fp32():
    truth, counted = torch.full((1, 1, 1), 0.001), torch.ones(1, 1, dtype=torch.bool)
    asked = Objective(name="a", modality="a", target=Content(), loss=mse)
    with torch.autocast("cpu", torch.bfloat16):
        losses = asked.losses(torch.ones(1, 1, 1, dtype=torch.bfloat16), truth, counted)
    assert losses.item() == pytest.approx(0.999**2, rel=1e-6)
