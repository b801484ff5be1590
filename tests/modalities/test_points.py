"""What is particular to points: grouping, tokens, Chamfer losses, the target."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modalities.points import (
    GroupPoints,
    PointGroups,
    chamfer_l1,
    chamfer_l2,
    group_points,
)
from modalities.points.embedding import MiniPointNet
from modalities.points.pytorch3d_part import pytorch3d_state
from omnimask.foundation.errors import RecipeError
from tests.steps import truth_of


def clouds(batch: int, num_points: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, num_points, 3, generator=torch.Generator().manual_seed(seed))


def every(xyz: Tensor) -> Tensor:
    return torch.ones(xyz.shape[:2], dtype=torch.bool)


def farthest_points_by_hand(xyz: np.ndarray, number: int) -> list[int]:
    middle = (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    chosen = [int(((xyz - middle) ** 2).sum(axis=1).argmax())]
    while len(chosen) < number:
        gaps = ((xyz[:, None] - xyz[chosen]) ** 2).sum(axis=2)
        chosen.append(int(gaps.min(axis=1).argmax()))
    return chosen


def batch_of(groups: PointGroups, *rows: Tensor) -> dict[str, Tensor | tuple[int, ...]]:
    samples = [{"xyz": xyz, "features": torch.zeros(len(xyz), 0)} for xyz in rows]
    return dict(groups.collate(samples))


# Grouping


def test_centers_are_farthest_points() -> None:
    xyz = clouds(3, 200)
    groups = group_points(xyz, every(xyz), num_groups=20, group_size=8)
    for row in range(3):
        expected = farthest_points_by_hand(xyz[row].numpy(), 20)
        assert groups.center_ids[row].tolist() == expected


def test_members_are_nearest_neighbours_in_order() -> None:
    from scipy.spatial import KDTree

    xyz = clouds(3, 200)
    groups = group_points(xyz, every(xyz), num_groups=20, group_size=8)
    for row in range(3):
        cloud = xyz[row].numpy()
        expected = KDTree(cloud).query(cloud[groups.center_ids[row].numpy()], k=8)[1]
        assert groups.member_ids[row].tolist() == expected.tolist()
    assert torch.equal(groups.member_ids[:, :, 0], groups.center_ids)


def test_groups_are_the_same_points_in_any_order() -> None:
    xyz = clouds(1, 100)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    groups = group_points(xyz, every(xyz), num_groups=9, group_size=5)
    shuffled = group_points(xyz[:, order], every(xyz), num_groups=9, group_size=5)
    assert torch.equal(order[shuffled.member_ids], groups.member_ids)


def test_padding_changes_nothing_and_is_never_chosen() -> None:
    xyz = clouds(2, 50)
    alone = group_points(xyz, every(xyz), num_groups=9, group_size=5)
    padded = torch.cat([xyz, 100.0 * torch.ones(2, 30, 3)], dim=1)
    ok = torch.arange(80).expand(2, 80) < 50
    groups = group_points(padded, ok, num_groups=9, group_size=5)
    assert torch.equal(groups.center_ids, alone.center_ids)
    assert torch.equal(groups.member_ids, alone.member_ids)


def test_a_cloud_smaller_than_a_group_repeats_the_nearest_point() -> None:
    ok = torch.arange(12).expand(1, 12) < 3
    groups = group_points(clouds(1, 12), ok, num_groups=5, group_size=6)
    assert sorted(groups.center_ids[0, :3].tolist()) == [0, 1, 2]
    for group in groups.member_ids[0, :3].tolist():
        assert sorted(group[:3]) == [0, 1, 2]
        assert group[3:] == [group[0]] * 3


@pytest.mark.gpu
@pytest.mark.skipif(
    not pytorch3d_state().startswith("pytorch3d"),
    reason="PyTorch3D's kernels need that package and a CUDA device",
)
def test_pytorch3d_gives_the_same_groups() -> None:
    xyz, ok = (
        clouds(4, 300),
        torch.arange(300).expand(4, 300) < torch.tensor([[300], [200], [40], [7]]),
    )
    here = group_points(xyz, ok, num_groups=16, group_size=12)
    there = group_points(xyz.cuda(), ok.cuda(), num_groups=16, group_size=12)
    for row, count in enumerate((16, 16, 16, 7)):
        assert torch.equal(here.center_ids[row, :count], there.center_ids[row, :count].cpu())
        assert torch.equal(here.member_ids[row, :count], there.member_ids[row, :count].cpu())


# Tokens


def test_joined_groups_are_the_grouped_points() -> None:
    groups = PointGroups(num_points=120, num_groups=10, group_size=7)
    xyz = clouds(2, 120)
    raw = batch_of(groups, *xyz)
    joined = groups.join(groups.split(raw).values, raw)
    ids = group_points(xyz, every(xyz), num_groups=10, group_size=7).member_ids
    for row in range(2):
        torch.testing.assert_close(joined["groups"][row], xyz[row][ids[row]])
    covered = torch.stack([torch.isin(torch.arange(120), ids[row]) for row in range(2)])
    ok = joined["point_ok"]
    assert isinstance(ok, Tensor)
    assert torch.equal(ok, covered)
    assert 0 < covered.sum() < covered.numel()
    torch.testing.assert_close(joined["xyz"], xyz * covered[:, :, None])


def test_groups_beyond_the_points_are_not_valid() -> None:
    groups = PointGroups(num_points=20, num_groups=10, group_size=7)
    tokens = groups.split(batch_of(groups, clouds(1, 20)[0], clouds(1, 4)[0]))
    assert tokens.num_valid == (10, 4)
    assert tokens.valid.sum(dim=1).tolist() == [10, 4]
    assert not tokens.values[1, 4:].any()


def test_features_follow_the_places_of_the_same_points() -> None:
    groups = PointGroups(num_points=30, num_groups=4, group_size=5, features=("colors", "normals"))
    xyz = clouds(1, 30)[0]
    raw = groups.collate([{"xyz": xyz, "features": torch.cat([xyz, 2 * xyz], dim=1)}])
    tokens = groups.split(raw)
    assert tokens.values.shape == (1, 4, groups.num_values) == (1, 4, 5 * 9)
    absolute = groups.places(tokens.values) + tokens.coords[:, :, None]
    expected = torch.cat([absolute, 2 * absolute], dim=-1)
    torch.testing.assert_close(groups.channels(tokens.values), expected)


def test_embedding_ignores_the_order_of_points_and_repeats() -> None:
    torch.manual_seed(0)
    groups = PointGroups(num_points=30, num_groups=4, group_size=6)
    embed = groups.embed(16)
    points = torch.randn(3, 6, 3)
    points[:, 4:] = points[:, :1]
    other = points[:, [5, 2, 1, 3, 1, 0]]
    torch.testing.assert_close(embed(points.flatten(1)), embed(other.flatten(1)))


def test_embedding_is_the_network_of_point_mae_with_the_concatenation_written_out() -> None:
    torch.manual_seed(0)
    embed = MiniPointNet(16, group_size=6, num_channels=3)
    points = torch.randn(3, 6, 3)
    lifted = embed.point(points)
    both = torch.cat([lifted.amax(dim=1, keepdim=True).expand_as(lifted), lifted], dim=2)
    weight = torch.cat([embed.from_group.weight, embed.from_point.weight], dim=1)
    joined = torch.nn.functional.linear(both, weight, embed.from_point.bias)
    expected = embed.out(joined).amax(dim=1)
    torch.testing.assert_close(embed(points.flatten(1)), expected)


def test_groups_of_any_size_differ_in_their_own_unit() -> None:
    """Without it, tokens of points 0.1 from their centres are all but one vector."""
    torch.manual_seed(0)
    embed, scaled = (
        MiniPointNet(16, group_size=6, num_channels=3, unit=unit) for unit in (1.0, 0.1)
    )
    scaled.load_state_dict(embed.state_dict())
    points = torch.randn(64, 18)
    near = points / 10
    torch.testing.assert_close(scaled(near), embed(points))

    def share_that_varies(tokens: Tensor) -> float:
        return (tokens.var(dim=0).mean() / tokens.square().mean()).item()

    assert share_that_varies(scaled(near)) > 5 * share_that_varies(embed(near))


@pytest.mark.parametrize(
    "fields",
    [{"num_groups": 65}, {"group_size": 0}, {"features": ("colours",)}, {"unit": 0.0}],
)
def test_settings_that_cannot_work(fields: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"num_groups": 8, "group_size": 8} | fields
    with pytest.raises(RecipeError):
        PointGroups(num_points=64, **settings)


# Losses and targets


def chamfer_by_hand(predicted: Tensor, truth: Tensor, power: int) -> Tensor:
    gaps = (predicted.view(-1, 1, 3) - truth.view(1, -1, 3)).norm(dim=2) ** power
    return gaps.min(dim=1).values.mean() + gaps.min(dim=0).values.mean()


def test_chamfer_losses_equal_the_reference() -> None:
    predicted, truth = clouds(4, 5 * 8).view(4, 5, 24), clouds(4, 5 * 6, 1).view(4, 5, 18)
    for loss, power, factor in ((chamfer_l2, 2, 1.0), (chamfer_l1, 1, 0.5)):
        result = loss(predicted, truth)
        assert result.shape == (4, 5)
        for row in range(4):
            for token in range(5):
                expected = chamfer_by_hand(predicted[row, token], truth[row, token], power)
                torch.testing.assert_close(result[row, token], factor * expected)


@pytest.mark.parametrize("loss", [chamfer_l1, chamfer_l2])
def test_chamfer_gradients(loss) -> None:
    predicted = clouds(2, 3 * 5).view(2, 3, 15).double().requires_grad_()
    truth = clouds(2, 3 * 5, 1).view(2, 3, 15).double()
    # The losses compute in fp32, whose rounding the numerical gradient sees.
    assert torch.autograd.gradcheck(loss, (predicted, truth), eps=1e-2, atol=2e-2)
    same = truth.clone().requires_grad_()
    loss(same, truth).sum().backward()
    assert same.grad is not None
    assert not same.grad.any()


def test_chamfer_stays_exact_under_autocast() -> None:
    predicted, truth = clouds(2, 20).view(2, 2, 30), clouds(2, 20, 1).view(2, 2, 30)
    with torch.autocast("cpu", torch.bfloat16):
        inside = chamfer_l2(predicted, truth)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, chamfer_l2(predicted, truth))


def test_group_points_target() -> None:
    groups = PointGroups(num_points=30, num_groups=4, group_size=5, features=("normals",))
    xyz = clouds(1, 30)[0]
    tokens = groups.split(groups.collate([{"xyz": xyz, "features": xyz}]))
    target = GroupPoints()
    truth = truth_of(target, groups, tokens)
    assert truth.values.shape[-1] == target.num_predicted(groups, 0) == 15
    assert GroupPoints(num_points=7).num_predicted(groups, 0) == 21
    restored = target.restore(truth.values, tokens)
    assert restored is not None
    assert torch.equal(groups.places(restored), groups.places(tokens.values))
    assert not groups.channels(restored).any()


def test_the_unit_of_group_points_scales_the_truth_and_comes_back() -> None:
    groups = PointGroups(num_points=30, num_groups=4, group_size=5)
    xyz = clouds(1, 30)[0]
    tokens = groups.split(groups.collate([{"xyz": xyz, "features": torch.zeros(30, 0)}]))
    target = GroupPoints(unit=0.25)
    truth = truth_of(target, groups, tokens)
    assert torch.equal(truth.values, tokens.values * 4.0)
    restored = target.restore(truth.values, tokens)
    assert restored is not None
    assert torch.equal(restored, tokens.values)
    with pytest.raises(RecipeError, match="unit must be > 0, got 0"):
        GroupPoints(unit=0.0)
