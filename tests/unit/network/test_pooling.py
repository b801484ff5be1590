"""One vector per sample: three rows of 1, 3 and 0 tokens behind [CLS] and a register."""

import pytest
import torch

from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Encoded
from omnimask.network.pooling import pool
from omnimask.tokens.tokens import Group, Layout, View
from tests.unit.masking_cases import part

PLAN = MaskPlan(
    visible_ids=torch.tensor([[0, 0, 0], [0, 1, 2], [0, 0, 0]]),
    visible_ok=torch.tensor([[True, False, False], [True] * 3, [False] * 3]),
    predict_ids=torch.zeros(3, 0, dtype=torch.long),
    predict_ok=torch.zeros(3, 0, dtype=torch.bool),
    num_visible=(1, 3, 0),
    num_predict=(0, 0, 0),
)
TOKENS = {"toy": part(3, [1, 3, 0])}
GROUP = Group(stream="", raw={}, keys=torch.arange(3), names=("",) * 3)
ENCODED = Encoded(
    view=View(group=GROUP, tokens=TOKENS, layout=Layout.of(TOKENS)),
    plan=PLAN,
    prefix=(torch.arange(6.0)[:, None], 10 + torch.arange(6.0)[:, None]),
    visible=(torch.tensor([[1.0], [2], [4], [9]]), torch.tensor([[2.0], [3], [5], [10]])),
    predict=(torch.zeros(0, 1), torch.zeros(0, 1)),
    num_prefix=2,
)


@pytest.mark.parametrize(("layer", "expected"), [(0, [1, 5, 0]), (1, [2, 6, 0])])
def test_the_mean_is_over_a_rows_own_tokens(layer: int, expected: list[float]):
    assert pool(ENCODED, "mean", layer=layer).flatten().tolist() == expected


@pytest.mark.parametrize(("layer", "expected"), [(0, [0, 2, 4]), (1, [10, 12, 14])])
def test_the_class_token_is_the_first_of_a_rows_prefix(layer: int, expected: list[float]):
    assert pool(ENCODED, "cls", layer=layer).flatten().tolist() == expected
