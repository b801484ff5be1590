"""Point clouds as groups: centres by farthest-point sampling, tokens of their nearest points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from modalities.points.embedding import MiniPointNet
from modalities.points.grouping import group_points
from omnimask.foundation.errors import RecipeError
from omnimask.network.positions import CoordinateMLP
from omnimask.network.resampling import Resampled, State, check_kept
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEATURES = ("colors", "normals")  # three channels each, in [-1, 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PointGroups:
    """`num_groups` overlapping groups of `group_size` points, as in Point-MAE.

    https://arxiv.org/abs/2203.06604, section 3.1. A token's values are the x, y, z of its points
    relative to the centre, the nearest point first, then the `features` ("colors", "normals") of
    the points in the same order; its coordinates are the centre. Clouds should fit into the unit
    sphere (`PointFiles` sees to it). Raw is `xyz` (b p 3), `features` (b p f), `point_ok` (b p),
    `num_points`, with p = `num_points`; a smaller cloud is padded, and has fewer valid tokens where
    it has fewer points than `num_groups`. `norm`: of the embedding; "none" is for weights that were
    trained with another one and have it folded in. `unit`: the length that the embedding takes as
    one; the typical distance of a point from its centre along one axis is best (see MiniPointNet).
    """

    name: str = "points"
    num_points: int = 1024
    num_groups: int = 64
    group_size: int = 32
    features: tuple[str, ...] = ()
    norm: Literal["layer", "none"] = "layer"
    unit: float = 1.0

    def __post_init__(self) -> None:
        if not self.unit > 0.0:
            raise RecipeError(
                f"PointGroups unit must be > 0, got {self.unit}; write the typical distance of a "
                "point from its group's centre along one axis, such as 0.15"
            )
        for field in ("num_groups", "group_size"):
            value = getattr(self, field)
            if not 1 <= value <= self.num_points:
                raise RecipeError(
                    f"PointGroups {field} must be in [1, num_points = {self.num_points}], got "
                    f"{value}; lower it or raise num_points"
                )
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown or len(set(self.features)) < len(self.features):
            raise RecipeError(
                f"PointGroups features must be different ones of {FEATURES}, got {self.features}"
            )

    @property
    def grid(self) -> Grid | None:
        return None

    @property
    def num_tokens(self) -> int:
        return self.num_groups

    @property
    def num_channels(self) -> int:
        """Numbers per point: x, y, z and the features."""
        return 3 + 3 * len(self.features)

    @property
    def num_values(self) -> int:
        return self.group_size * self.num_channels

    @property
    def extent(self) -> tuple[float, ...]:
        return (2.0, 2.0, 2.0)

    def fit(self, source: Source, /) -> "PointGroups":
        """Itself: clouds are normalised one by one, so nothing is measured."""
        return self

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        xyz = torch.zeros(len(samples), self.num_points, 3)
        features = torch.zeros(len(samples), self.num_points, 3 * len(self.features))
        counts = tuple(len(sample["xyz"]) for sample in samples)
        for row, (sample, count) in enumerate(zip(samples, counts, strict=True)):
            xyz[row, :count] = sample["xyz"]
            features[row, :count] = sample["features"]
        ok = torch.arange(self.num_points) < torch.tensor(counts)[:, None]
        return {"xyz": xyz, "features": features, "point_ok": ok, "num_points": counts}

    def split(self, raw: Raw, /) -> Tokens:
        cloud = _Grouped.of(self, raw)
        places = rearrange(cloud.places - cloud.centers[:, :, None], "b n k xyz -> b n (k xyz)")
        features = rearrange(cloud.features, "b n k f -> b n (k f)")
        values = torch.cat([places, features], dim=-1)
        num_valid = tuple(min(count, self.num_groups) for count in integers_of(raw, "num_points"))
        return Tokens(
            values=values * cloud.valid[:, :, None],
            coords=cloud.centers * cloud.valid[:, :, None],
            valid=cloud.valid,
            scorable=cloud.valid,
            num_valid=num_valid,
            num_scorable=num_valid,
            grid=None,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """Points at their places in `raw`, beside `groups` (b n k 3), all groups' absolute points.

        A point of several groups is taken from the first of those whose centre is nearest.
        Loss: points that are in no group; they are zero, and `point_ok` is False.
        """
        cloud = _Grouped.of(self, raw)
        groups = self.places(values) + cloud.centers[:, :, None]
        features = self.channels(values)
        distances = (cloud.places - cloud.centers[:, :, None]).square().sum(dim=-1)
        slots, covered = _owners(
            cloud.member_ids, distances, cloud.valid, num_points=self.num_points
        )
        ok = covered & tensor_of(raw, "point_ok")
        taken = slots[:, :, None]
        xyz = groups.flatten(1, 2).gather(1, taken.expand(-1, -1, 3))
        channels = features.flatten(1, 2).gather(1, taken.expand(-1, -1, features.shape[-1]))
        return {
            "xyz": xyz * ok[:, :, None],
            "features": channels * ok[:, :, None],
            "point_ok": ok,
            "num_points": integers_of(raw, "num_points"),
            "groups": groups,
        }

    def places(self, values: Float[Tensor, "b n v"]) -> Float[Tensor, "b n k 3"]:
        """The points of each token relative to its centre."""
        return values[..., : 3 * self.group_size].unflatten(-1, (self.group_size, 3))

    def channels(self, values: Float[Tensor, "b n v"]) -> Float[Tensor, "b n k f"]:
        """The features of each token's points."""
        features = values[..., 3 * self.group_size :]
        return features.unflatten(-1, (self.group_size, 3 * len(self.features)))

    def embed(self, dim: int, /) -> nn.Module:
        return MiniPointNet(
            dim,
            group_size=self.group_size,
            num_channels=self.num_channels,
            norm=self.norm == "layer",
            unit=self.unit,
        )

    def position(self, dim: int, /) -> nn.Module:
        return CoordinateMLP(dim, 3)

    def continued_from(self, old: Modality, /) -> tuple["PointGroups", tuple[str, ...]]:
        """Itself: nothing is measured, and the network on a group's points takes any number."""
        assert isinstance(old, PointGroups), "adapt compares the types"
        sizes = [(each.num_points, each.num_groups, each.group_size) for each in (old, self)]
        if sizes[0] == sizes[1]:
            return self, ()
        was, becomes = ("{} points in {} groups of {}".format(*size) for size in sizes)
        return self, (f"{self.name}: {becomes}, in pretraining {was}; the weights are the same",)

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """Inputs of features that pretraining did not have begin at zero: without effect."""
        assert isinstance(old, PointGroups), "adapt compares the types"
        check_kept(self.name, "norm", old=old.norm, new=self.norm)
        check_kept(self.name, "unit", old=old.unit, new=self.unit)
        if old.features == self.features:
            return Resampled(state=state)
        before, weight = state["point.0.weight"], fresh["point.0.weight"].clone()
        weight[:, :3] = before[:, :3]
        for place, name in enumerate(self.features):
            of_new = weight[:, 3 + 3 * place : 6 + 3 * place]
            if name in old.features:
                start = 3 + 3 * old.features.index(name)
                of_new.copy_(before[:, start : start + 3])
            else:
                of_new.zero_()
        line = f"{self.name}: features {self.features}, in pretraining {old.features}: new at zero"
        return Resampled(state={**state, "point.0.weight": weight}, lines=(line,))

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        return Resampled(state=state)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        from modalities.points.pictures import draw_groups

        tokens = self.split(raw)
        return draw_groups(
            cloud=tensor_of(raw, "xyz")[index][tensor_of(raw, "point_ok")[index]],
            original=(self.places(tokens.values) + tokens.coords[:, :, None])[index],
            filled=(self.places(filled) + tokens.coords[:, :, None])[index],
            visible=visible[index] & tokens.valid[index],
            valid=tokens.valid[index],
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The cloud by height, and the points of each group in its colour."""
        from modalities.points.pictures import paint_groups

        tokens = self.split(raw)
        valid = tokens.valid[index].cpu()
        groups = (self.places(tokens.values) + tokens.coords[:, :, None])[index].cpu()
        cloud = tensor_of(raw, "xyz")[index][tensor_of(raw, "point_ok")[index]].cpu()
        return paint_groups(cloud, groups[valid], colors[:, valid], titles)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grouped:
    """The points of every group; those of groups that are not `valid` mean nothing."""

    centers: Float[Tensor, "b n 3"]
    places: Float[Tensor, "b n k 3"]
    features: Float[Tensor, "b n k f"]
    member_ids: Tensor
    valid: Bool[Tensor, "b n"]

    @staticmethod
    def of(groups: PointGroups, raw: Raw) -> "_Grouped":
        xyz, features, ok = (tensor_of(raw, name) for name in ("xyz", "features", "point_ok"))
        ids = group_points(xyz, ok, num_groups=groups.num_groups, group_size=groups.group_size)
        ranks = torch.arange(groups.num_groups, device=xyz.device)
        return _Grouped(
            centers=_take(xyz, ids.center_ids[:, :, None])[:, :, 0],
            places=_take(xyz, ids.member_ids),
            features=_take(features, ids.member_ids),
            member_ids=ids.member_ids,
            valid=ranks < ok.sum(dim=1, keepdim=True),
        )


def _take(rows: Float[Tensor, "b p c"], ids: Tensor) -> Float[Tensor, "b n k c"]:
    """The rows of each sample with the given (b n k) ids."""
    flat = ids.flatten(1)[:, :, None].expand(-1, -1, rows.shape[-1])
    return rows.gather(1, flat).unflatten(1, ids.shape[1:])


def _owners(
    member_ids: Tensor, distances: Tensor, valid: Tensor, *, num_points: int
) -> tuple[Tensor, Tensor]:
    """For each point the slot (of all groups' slots in a row) that it is taken from, if any."""
    batch, _, group_size = member_ids.shape
    ids = member_ids.flatten(1)
    far = distances.masked_fill(~valid[:, :, None], torch.inf).flatten(1)
    nearest = far.new_full((batch, num_points), torch.inf).scatter_reduce(1, ids, far, "amin")
    num_slots = ids.shape[1]
    slots = torch.arange(num_slots, device=ids.device).expand_as(ids)
    owned = (far == nearest.gather(1, ids)) & valid.repeat_interleave(group_size, dim=1)
    slots = torch.where(owned, slots, num_slots)
    first = slots.new_full((batch, num_points), num_slots).scatter_reduce(1, ids, slots, "amin")
    return first.clamp_max(num_slots - 1), first < num_slots
