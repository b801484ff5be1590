"""Nearest neighbours between sets of points."""

import torch

from omnimask.data.geometry import nearest_offsets, squared_distances


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed))


def test_squared_distances_by_hand() -> None:
    source = torch.tensor([[0.0, 0, 0], [1, 2, 2]])
    target = torch.tensor([[0.0, 0, 0], [0, 3, 4], [1, 2, 2]])
    expected = torch.tensor([[0.0, 25, 9], [9, 6, 0]])
    assert squared_distances(source, target).tolist() == expected.tolist()


def test_squared_distances_equal_cdist() -> None:
    source, target = points(2, 5, 7), points(2, 5, 9, seed=1)
    expected = torch.cdist(source, target, compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(squared_distances(source, target), expected)


def test_near_points_far_from_the_origin_keep_their_distance() -> None:
    source = torch.tensor([[1000.0, 1000.0, 1000.0]])
    target = source + torch.tensor([[0.0, 0.0, 0.125]])
    assert squared_distances(source, target).item() == 0.125**2


def test_offsets_lead_to_the_nearest_point() -> None:
    source, target = points(4, 7), points(4, 9, seed=1)
    offsets = nearest_offsets(source, target)
    for batch in range(4):
        for i in range(7):
            gaps = (source[batch, i] - target[batch]).norm(dim=-1)
            torch.testing.assert_close(offsets[batch, i].norm(), gaps.min())
            reached = source[batch, i] - offsets[batch, i]
            torch.testing.assert_close(reached, target[batch, gaps.argmin()])


def test_targets_that_are_not_ok_are_never_nearest() -> None:
    source, target = points(3, 5), points(3, 6, seed=1)
    ok = torch.tensor([True, False, True, True, False, False]).expand(3, 6)
    padded = torch.where(ok[..., None], target, source[:, :1])  # the bait: distance 0
    expected = nearest_offsets(source, target[:, ok[0]])
    torch.testing.assert_close(nearest_offsets(source, padded, target_ok=ok), expected)


def test_a_set_without_usable_targets_gives_finite_offsets() -> None:
    ok = torch.zeros(2, 4, dtype=torch.bool)
    assert nearest_offsets(points(2, 3), points(2, 4), target_ok=ok).isfinite().all()


def test_gradient_is_that_of_the_minimum() -> None:
    source = points(2, 4).double().requires_grad_()
    target = points(2, 5, seed=1).double().requires_grad_()

    def total(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return nearest_offsets(a, b).square().sum()

    assert torch.autograd.gradcheck(total, (source, target))
