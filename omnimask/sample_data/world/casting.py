"""Rays at the objects of a stage and at what surrounds them.

An object stays where it is in its own frame and the rays move: one scene of Open3D then does for
all poses, and the rays of many moments go through it in one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from omnimask.sample_data.world.stage import Body, Points, Pose, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Rays:
    """Half-lines; the directions are unit vectors. Rays with one start, as a camera's, or with one
    direction, as those to the sun, have one row of it.
    """

    starts: Points
    directions: Points

    def __len__(self) -> int:
        return len(self.starts if len(self.directions) == 1 else self.directions)

    def take(self, rows: Int64[np.ndarray, " some"]) -> "Rays":
        starts, directions = (
            part if len(part) == 1 else part[rows] for part in (self.starts, self.directions)
        )
        return Rays(starts=starts, directions=directions)

    def at(self, range_m: Float32[np.ndarray, " rays"]) -> Points:
        return self.starts + range_m[:, None] * self.directions


@dataclass(frozen=True, kw_only=True, slots=True)
class Hits:
    """Of those rays that met something, by their `rows`. `places` are in the frame that paint and
    grain stand still in; `solids` number what was met.
    """

    rows: Int64[np.ndarray, " hits"]
    range_m: Float32[np.ndarray, " hits"]
    normals: Points
    places: Points
    solids: Int64[np.ndarray, " hits"]


def _tensor(*parts: Rays) -> Any:
    """All rays, one set after the other, as Open3D wants them."""
    import open3d as o3d

    both = np.empty((sum(map(len, parts)), 6), dtype=np.float32)
    start = 0
    for rays in parts:
        end = start + len(rays)
        both[start:end, :3], both[start:end, 3:] = rays.starts, rays.directions
        start = end
    return o3d.core.Tensor.from_numpy(both)


def _near(rays: Rays, pose: Pose, radius_m: float) -> Int64[np.ndarray, " rows"]:
    """The rays that come near enough to the pose's centre, ahead of their start."""
    to_centre = pose.centre - rays.starts
    if len(to_centre) == 1:
        along = rays.directions @ to_centre[0]
    elif len(rays.directions) == 1:
        along = to_centre @ rays.directions[0]
    else:
        along = np.einsum("nc,nc->n", to_centre, rays.directions)
    squared = np.einsum("nc,nc->n", to_centre, to_centre) - along**2
    return np.flatnonzero((squared < radius_m**2) & (along > -radius_m))


def _in_frame(rays: Rays, pose: Pose) -> Rays:
    """In the frame of an object at this pose."""
    return Rays(
        starts=(rays.starts - pose.centre) @ pose.turn, directions=rays.directions @ pose.turn
    )


def meet_body(body: Body, poses: Sequence[Pose], rays: Sequence[Rays], *, solid: int) -> list[Hits]:
    """What each set of rays meets of the body at the pose of the same place."""
    rows = [_near(each, pose, body.radius_m) for each, pose in zip(rays, poses, strict=True)]
    local = [
        _in_frame(each.take(chosen), pose)
        for each, pose, chosen in zip(rays, poses, rows, strict=True)
    ]
    answer = body.scene.cast_rays(_tensor(*local), nthreads=1)
    ranges, normals = answer["t_hit"].numpy(), answer["primitive_normals"].numpy()
    found, start = [], 0
    for each, pose, chosen in zip(local, poses, rows, strict=True):
        span = slice(start, start + len(chosen))
        start += len(chosen)
        kept = np.flatnonzero(np.isfinite(ranges[span]))
        range_m, directions = ranges[span][kept], each.directions[kept]
        facing = _facing(normals[span][kept], directions)
        found.append(
            Hits(
                rows=chosen[kept],
                range_m=range_m,
                normals=facing @ pose.turn.T,
                places=each.take(kept).at(range_m) / np.float32(body.thing.size_m),
                solids=np.full(len(kept), solid),
            )
        )
    return found


def meet_surroundings(stage: Stage, rays: Rays) -> Hits:
    """Every ray that starts in the room meets something."""
    answer = stage.surroundings.scene.cast_rays(_tensor(rays), nthreads=1)
    range_m = answer["t_hit"].numpy()
    rows = np.flatnonzero(np.isfinite(range_m))
    rays, range_m = rays.take(rows), range_m[rows]
    return Hits(
        rows=rows,
        range_m=range_m,
        normals=_facing(answer["primitive_normals"].numpy()[rows], rays.directions),
        places=rays.at(range_m),
        solids=answer["geometry_ids"].numpy()[rows].astype(np.int64),
    )


def _facing(normals: Points, directions: Points) -> Points:
    """Towards where the ray comes from, whichever side the triangle shows."""
    away = np.einsum("nc,nc->n", normals, directions) > 0
    return np.where(away[:, None], -normals, normals)


def hidden_by_body(
    body: Body, poses: Sequence[Pose], rays: Sequence[Rays]
) -> list[Bool[np.ndarray, " rays"]]:
    """Of each set of rays, which the body stops at the pose of the same place."""
    rows = [_near(each, pose, body.radius_m) for each, pose in zip(rays, poses, strict=True)]
    local = [
        _in_frame(each.take(chosen), pose)
        for each, pose, chosen in zip(rays, poses, rows, strict=True)
    ]
    stopped = body.scene.test_occlusions(_tensor(*local), nthreads=1).numpy()
    found, start = [], 0
    for each, chosen in zip(rays, rows, strict=True):
        hidden = np.zeros(len(each), dtype=bool)
        hidden[chosen] = stopped[start : start + len(chosen)]
        start += len(chosen)
        found.append(hidden)
    return found


def hidden_by_clutter(stage: Stage, rays: Rays) -> Bool[np.ndarray, " rays"]:
    answer = stage.surroundings.clutter.test_occlusions(_tensor(rays), nthreads=1)
    return answer.numpy()
