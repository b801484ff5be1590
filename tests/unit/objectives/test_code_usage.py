import numpy as np
import pytest
import torch

from omnimask.objectives.code_usage import count_codes, measure_usage


def test_counts_are_bincount():
    ids = torch.tensor([3, 1, 3, 3, 0])
    counts = count_codes(ids, torch.tensor([1.0, 1, 1, 0, 1]), num_codes=6)
    assert counts.tolist() == [1, 1, 0, 2, 0, 0]


def test_usage_of_counts():
    counts = np.array([4.0, 0, 3, 1])
    share = counts[counts > 0] / 8
    usage = measure_usage(torch.tensor(counts, dtype=torch.float32))
    assert usage["used"].item() == pytest.approx(0.75)
    assert usage["perplexity"].item() == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_even_use_has_the_perplexity_of_all_codes_and_no_use_is_finite():
    assert measure_usage(torch.full((7,), 3.0))["perplexity"].item() == pytest.approx(7)
    assert measure_usage(torch.zeros(7))["perplexity"].item() == 1
