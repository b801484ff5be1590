import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import check_ratio, share_count, visible_count


@pytest.mark.parametrize(
    ("ratio", "num_valid", "expected"),
    [
        (0.75, 196, 49),  # MAE
        (0.9, 196, 20),  # VideoMAE, per frame
        (0.8, 512, 102),  # AudioMAE
        (0.6, 64, 26),  # Point-MAE
        (0.75, 10, 2),  # a half goes down, as in MAE
        (0.9, 15, 1),
        (0.5, 0, 0),
        (0.5, 1, 1),
        (0.99, 2, 1),
        (0.01, 2, 1),
        (0.01, 3, 2),
    ],
)
def test_counts_of_the_papers_and_of_tiny_samples(ratio: float, num_valid: int, expected: int):
    assert visible_count(ratio, num_valid) == expected


@given(ratio=st.floats(0.001, 0.999), num_valid=st.integers(2, 4000))
def test_within_half_a_token_of_the_ratio(ratio: float, num_valid: int):
    count = visible_count(ratio, num_valid)
    assert 1 <= count < num_valid
    if 1 < count < num_valid - 1:
        assert abs(count - (1 - ratio) * num_valid) <= 0.5 + 1e-6


def test_a_share_is_at_least_one_token_of_any():
    assert [share_count(0.05, n) for n in (0, 1, 10, 147)] == [0, 1, 1, 7]
    assert share_count(1.0, 9) == 9


@pytest.mark.parametrize("ratio", [75.0, 0.0, 1.0, -0.5, float("nan")])
def test_refuses_what_is_not_a_ratio(ratio: float):
    with pytest.raises(RecipeError, match=r"mask ratio must be in \(0, 1\)"):
        check_ratio(ratio)


def test_says_what_a_percentage_should_have_been():
    message = r"^mask ratio must be in \(0, 1\), got 75; write 0\.75$"
    with pytest.raises(RecipeError, match=message):
        check_ratio(75.0)
