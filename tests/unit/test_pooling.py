"""One vector per sample: three rows of 1, 3 and 0 tokens behind [CLS] and a register."""

import pytest
import torch

from omnimask.network.backbone import Encoded
from omnimask.network.pooling import pool

ENCODED = Encoded(
    prefix=(torch.arange(6.0)[:, None], 10 + torch.arange(6.0)[:, None]),
    visible=(torch.tensor([[1.0], [2], [4], [9]]), torch.tensor([[2.0], [3], [5], [10]])),
    predict=(torch.zeros(0, 1), torch.zeros(0, 1)),
    num_prefix=2,
    num_visible=(1, 3, 0),
    num_predict=(0, 0, 0),
)


@pytest.mark.parametrize(("layer", "expected"), [(0, [1, 5, 0]), (1, [2, 6, 0])])
def test_the_mean_is_over_a_rows_own_tokens(layer: int, expected: list[float]):
    assert pool(ENCODED, "mean", layer=layer).flatten().tolist() == expected


@pytest.mark.parametrize(("layer", "expected"), [(0, [0, 2, 4]), (1, [10, 12, 14])])
def test_the_class_token_is_the_first_of_a_rows_prefix(layer: int, expected: list[float]):
    assert pool(ENCODED, "cls", layer=layer).flatten().tolist() == expected
