import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.foundation.errors import RecipeError
from omnimask.masking import JointBudget
from tests.unit.masking_cases import keys, layout, part, shown, visible


def shares(masker: JointBudget, rows: int = 1500) -> torch.Tensor:
    """How many tokens of each of three modalities are shown, (rows, 3)."""
    whole = layout(a=part(40, [40] * rows), b=part(40, [40] * rows), c=part(40, [40] * rows))
    (plan,) = masker(whole, keys(rows))
    return shown(plan, 120).reshape(rows, 3, 40).sum(dim=2).float()


def test_the_budget_is_exact_and_split_evenly_on_average():
    counts = shares(JointBudget(num_visible=30))
    assert counts.sum(dim=1).unique().tolist() == [30.0]
    # Dirichlet(1, 1, 1) shares have mean 1/3 and variance 1/18.
    assert (counts.mean(dim=0) - 10).abs().max() < 5 * 30 * (1 / 18 / 1500) ** 0.5
    assert abs(counts.var(dim=0).mean() / 900 - 1 / 18) < 0.006


@pytest.mark.parametrize("alphas", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.0), (4.0, 4.0, 2.0)])
def test_shares_are_distributed_like_numpys(alphas: tuple[float, float, float]):
    rows, budget = 3000, 30
    counts = shares(JointBudget(num_visible=budget, alphas=dict(zip("abc", alphas))), rows)
    assert counts.sum(dim=1).unique().tolist() == [budget]
    expected = np.random.default_rng(0).dirichlet(alphas, 100_000)
    drawn = counts.numpy() / budget
    np.testing.assert_allclose(drawn.mean(axis=0), expected.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(expected.T), atol=0.005)
    # A count is a share to the nearest token, half a token to either side.
    for part_drawn, part_expected in zip(drawn.T, expected.T, strict=True):
        quantiles = np.linspace(0.1, 0.9, 9)
        difference = np.quantile(part_drawn, quantiles) - np.quantile(part_expected, quantiles)
        assert np.abs(difference).max() < 0.5 / budget + 0.02


def test_alphas_by_name_move_the_means():
    counts = shares(JointBudget(num_visible=30, alphas={"a": 4.0, "b": 1.0, "c": 1.0}))
    expected = torch.tensor([20.0, 5.0, 5.0])
    assert (counts.mean(dim=0) - expected).abs().max() < 0.7


def test_small_alphas_show_nearly_one_modality_alone():
    counts = shares(JointBudget(num_visible=30, alphas=0.05))
    assert (counts.amax(dim=1) > 27).float().mean() > 0.7


def test_counts_are_the_shares_to_the_nearest_token():
    rng, whole = keys(40), layout(a=part(200, [200] * 40), b=part(200, [200] * 40))
    (plan,) = JointBudget(num_visible=100)(whole, rng)
    share = rng.child("shares").dirichlet((1.0, 1.0))[:, 0] * 100
    counts = torch.tensor([sum(i < 200 for i in row) for row in visible(plan)])
    assert (counts - share).abs().max() <= 0.5 + 1e-3


def test_within_a_modality_every_token_is_as_likely():
    rows = 1500
    whole = layout(a=part(6, [6] * rows), b=part(6, [6] * rows))
    (plan,) = JointBudget(num_visible=4)(whole, keys(rows))
    frequency = shown(plan, 12).float().mean(dim=0).reshape(2, 6)
    assert (frequency - 1 / 3).abs().max() < 0.07


@given(
    num_valid=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=4),
    budget=st.integers(1, 12),
)
@settings(max_examples=15, deadline=None)
def test_the_total_is_exact_in_ragged_rows(num_valid: list[tuple[int, int]], budget: int):
    first, second = (list(counts) for counts in zip(*num_valid, strict=True))
    whole = layout(a=part(5, first), b=part(9, second, extra=1))
    (plan,) = JointBudget(num_visible=budget)(whole, keys(len(first)))
    for row, (a, b) in enumerate(num_valid):
        total = a + b
        expected = min(budget, total - 1) if total > 1 else total
        assert plan.num_visible[row] == len(visible(plan)[row]) == expected
        assert whole.valid[row, visible(plan)[row]].all()


def test_an_input_only_modality_cannot_share_a_budget():
    whole = layout(image=part(8, [8]), label=part(2, [2], scorable=False))
    with pytest.raises(RecipeError, match="label is input-only"):
        JointBudget(num_visible=4)(whole, keys(1))


def test_refuses_impossible_fields():
    with pytest.raises(RecipeError, match="num_visible must be >= 1"):
        JointBudget(num_visible=0)
    with pytest.raises(RecipeError, match=r"alphas\['rgb'\] must be > 0, got 0; write 1.0"):
        JointBudget(num_visible=4, alphas={"rgb": 0.0})
    with pytest.raises(RecipeError, match="alphas must be > 0"):
        JointBudget(num_visible=4, alphas=-1.0)
    with pytest.raises(RecipeError, match=r"no number for 'depht'; did you mean depth\?"):
        JointBudget(num_visible=4, alphas={"depth": 1.0}).check(None, "depht")
