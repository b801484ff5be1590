import math

import numpy as np
import pytest
import torch
from torch import Tensor

from omnimask.network.positions import (
    CoordinateMLP,
    LearnedPosition,
    Rotary,
    SinCosPosition,
    TablePosition,
    rotary_angles,
)


def grid_coords(*sizes: int) -> Tensor:
    axes = [torch.arange(float(size)) for size in sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)


def mae_1d(dim: int, places: np.ndarray) -> np.ndarray:
    omega = 1.0 / 10_000 ** (np.arange(dim // 2) / (dim / 2))
    angles = np.outer(places, omega)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def test_sines_are_those_of_mae():
    coords = grid_coords(14, 10).numpy()
    rows, columns = mae_1d(32, coords[:, 0]), mae_1d(32, coords[:, 1])
    ours = SinCosPosition(64, 2)(torch.from_numpy(coords)).numpy()
    # MAE's own code builds its grid with the column first, so that the first half of its vectors
    # holds columns; ours holds the first coordinate, rows. Weights are moved by swapping halves.
    assert np.allclose(ours, np.concatenate([rows, columns], axis=1), atol=1e-5)
    mae = np.concatenate([columns, rows], axis=1)
    assert np.allclose(np.roll(ours, 32, axis=1), mae, atol=1e-5)


def test_three_axes_leave_what_does_not_divide_at_zero():
    position = SinCosPosition(64, 3)(grid_coords(2, 3, 4))
    assert position.shape == (24, 64)
    assert (position[:, 60:] == 0).all()
    assert np.allclose(position[:, 20:40].numpy(), mae_1d(20, grid_coords(2, 3, 4)[:, 1].numpy()))


def test_units_are_scaled_to_grid_steps():
    metres, steps = torch.rand(5, 2) * 3, SinCosPosition(16, 2)
    scaled = SinCosPosition(16, 2, scale=1 / 0.3)(metres)
    assert torch.allclose(scaled, steps(metres / 0.3), atol=1e-5)


def test_fixed_positions_have_no_weights_and_are_not_saved():
    position = SinCosPosition(16, 2)
    assert not list(position.parameters())
    assert not position.state_dict()


def test_learned_vectors_at_integers_and_halves():
    position = LearnedPosition(8, (4, 3))
    rows, columns = position.tables
    at = position(torch.tensor([[2.0, 1.0], [2.5, 0.0], [3.0, 1.5]]))
    assert torch.allclose(at[0], rows[2] + columns[1])
    assert torch.allclose(at[1], (rows[2] + rows[3]) / 2 + columns[0])
    assert torch.allclose(at[2], rows[3] + (columns[1] + columns[2]) / 2)


def test_learned_vectors_outside_are_those_of_the_border():
    position = LearnedPosition(8, (4, 1))
    at = position(torch.tensor([[-3.0, 0.0], [0.0, 0.0], [9.0, 5.0], [3.0, 0.0]]))
    assert torch.equal(at[0], at[1])
    assert torch.equal(at[2], at[3])


def test_every_learned_vector_gets_a_gradient():
    position = LearnedPosition(8, (4, 3))
    position(grid_coords(4, 3)).square().sum().backward()
    assert all((table.grad.abs().sum(dim=1) > 0).all() for table in position.tables)


def test_a_coordinate_mlp_takes_any_coordinates():
    assert CoordinateMLP(16, 3)(torch.randn(5, 3)).shape == (5, 16)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Pairs (i, i + half) rotated by their angle."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


@pytest.mark.parametrize("num_axes", [1, 2, 3])
def test_rotated_products_depend_on_the_difference_of_places_only(num_axes: int):
    extent, shift = (14.0, 8.0, 3.0)[:num_axes], torch.randn(1, num_axes)
    places, query, key = torch.rand(6, num_axes) * 5, torch.randn(6, 32), torch.randn(6, 32)

    def products(coords: Tensor) -> Tensor:
        angles = rotary_angles(coords, extent, head_dim=32)
        return rotate(query, angles) @ rotate(key, angles).T

    assert torch.allclose(products(places), products(places + shift), atol=1e-3)
    assert not torch.allclose(products(places), products(places * 2), atol=0.1)


def test_rotary_angles_by_hand():
    angles = rotary_angles(
        torch.tensor([[7.0, 0.0], [0.0, 3.0]]),
        (14.0, 6.0),
        head_dim=12,
        style=Rotary(min_period=0.5, max_period=8.0),
    )
    # Three frequencies per axis, periods 0.5, 2 and 8; both places are one unit from zero.
    turn = [2 * math.pi / period for period in (0.5, 2.0, 8.0)]
    expected = torch.tensor([[*turn, 0, 0, 0], [0, 0, 0, *turn]])
    assert torch.allclose(angles, expected, atol=1e-5)


def test_rotary_angles_counted_from_the_middle_of_a_grid():
    style = Rotary(min_period=1.0, max_period=4.0, open_end=True, centred=True)
    places = torch.arange(4.0)[:, None]
    angles = rotary_angles(places, (4.0,), head_dim=4, style=style, on_grid=True)
    # The middles of four cells between -1 and 1; periods 1 and 2, without the last.
    middles = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    assert torch.allclose(angles, 2 * math.pi * middles[:, None] / torch.tensor([1.0, 2.0]))
    free = rotary_angles(places, (4.0,), head_dim=4, style=style)
    assert (free[0] == 0).all()


def test_pairs_left_over_are_not_rotated():
    angles = rotary_angles(torch.rand(4, 3), (1.0, 1.0, 1.0), head_dim=16)
    assert angles.shape == (4, 8)
    assert (angles[:, 6:] == 0).all()
    assert (rotary_angles(torch.rand(4, 3), (1.0, 1.0, 1.0), head_dim=4) == 0).all()


def test_an_axis_without_length_is_not_divided_by_zero():
    angles = rotary_angles(torch.zeros(2, 2), (0.0, 1.0), head_dim=16)
    assert angles.isfinite().all()


def test_a_table_has_a_vector_per_cell_and_the_last_axis_runs_fastest():
    position = TablePosition(8, (2, 3))
    at = position(torch.tensor([[0.0, 2.0], [1.0, 0.0], [1.0, 2.0], [0.4, 1.6], [-5.0, 9.0]]))
    assert torch.equal(at, position.table[[2, 3, 5, 2, 2]])
