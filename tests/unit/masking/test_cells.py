import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.masking import CellMask
from tests.unit.masking_cases import keys, layout, part, shown

GRID = {"h": 8, "w": 12}


def test_cells_are_hidden_whole_where_the_count_divides():
    (plan,) = CellMask(ratio=0.5, cell=(2, 3))(layout(image=part(GRID, [96] * 20)), keys(20))
    cells = shown(plan, 96).reshape(20, 4, 2, 4, 3).float().mean(dim=(2, 4))
    assert set(cells.unique().tolist()) == {0.0, 1.0}
    assert plan.num_visible == (48,) * 20
    assert 0.3 < cells.mean(dim=0).min() < cells.mean(dim=0).max() < 0.75


def test_simmim_hides_squares_of_two_by_two_patches():
    """Its published code: cells of 32 pixels, 0.6 of 7 × 7 rounded up, so 30 cells of 4 patches."""
    image = layout(image=part({"h": 14, "w": 14}, [196] * 400))
    (plan,) = CellMask(ratio=30 / 49, cell=(2, 2))(image, keys(400))
    patches = ~shown(plan, 196).reshape(400, 14, 14)
    cells = patches[:, ::2, ::2]
    assert (patches == cells.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)).all()
    assert cells.sum(dim=(1, 2)).tolist() == [30] * 400
    # Five standard deviations of a share among 400.
    assert (cells.float().mean(dim=0) - 30 / 49).abs().max() < 5 * (0.24 / 400) ** 0.5


def test_at_most_one_cell_is_cut():
    (plan,) = CellMask(ratio=0.6, cell=(2, 3))(layout(image=part(GRID, [96] * 20)), keys(20))
    assert plan.num_visible == (38,) * 20
    cells = shown(plan, 96).reshape(20, 4, 2, 4, 3).float().mean(dim=(2, 4))
    cut = ((cells > 0) & (cells < 1)).sum(dim=(1, 2))
    assert cut.tolist() == [1] * 20


def test_cells_at_the_border_may_be_smaller():
    grid = {"h": 3, "w": 3}
    (plan,) = CellMask(ratio=0.5, cell=(2, 2))(layout(image=part(grid, [9] * 50)), keys(50))
    corner = shown(plan, 9).reshape(50, 3, 3)[:, 2, :2]
    assert (corner[:, 0] == corner[:, 1]).float().mean() > 0.6


@pytest.mark.parametrize(
    ("cell", "grid", "message"),
    [
        ((2, 2), None, "CellMask needs a grid, points has no grid; use RandomMask or NearestMask"),
        ((2, 2), {"t": 4, "h": 8, "w": 8}, r"t=4 × h=8 × w=8.*write \(2, 2, 2\)"),
        ((8, 8), {"h": 8, "w": 8}, "holds the whole grid"),
    ],
)
def test_says_what_does_not_fit(cell: tuple[int, ...], grid: dict[str, int] | None, message: str):
    with pytest.raises(RecipeError, match=message):
        CellMask(cell=cell).check(grid, "points")


@pytest.mark.parametrize("cell", [(), (0, 2)])
def test_refuses_cells_without_tokens(cell: tuple[int, ...]):
    with pytest.raises(RecipeError, match="write \\(2, 2\\)"):
        CellMask(cell=cell)
