"""What point clouds say of themselves, and how they would be pretrained (Point-MAE, 2203.06604)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modalities.points.files import SUFFIXES, PointFiles
from modalities.points.losses import chamfer_l2
from modalities.points.modality import PointGroups
from modalities.points.readers.choice import read_points
from modalities.points.readers.meshes import Mesh
from modalities.points.targets import GroupPoints
from omnimask.data.point_files import PLACE, finite_rows, stack
from omnimask.inspection.inspector import (
    Budget,
    Inspector,
    Look,
    Proposal,
    median,
    power_of_two,
)
from omnimask.masking import RandomMask

_SWEEP_M = 20.0  # wider than this it is more likely a lidar sweep in metres than an object


def _look(path: Path) -> Look:
    found = read_points(path, PointFiles().columns)
    if isinstance(found, Mesh):
        return Look(facts={"triangles": len(found.triangles)}, words={"content": "mesh"})
    places = stack(finite_rows(found, PLACE, path, drop=True), PLACE)
    width = float(np.ptp(places[:, :2], axis=0).max())
    return Look(facts={"points": len(places), "width": width}, fit=0.9 if width < _SWEEP_M else 0.1)


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    most = 1024 if budget.large else 512
    counts = [look for look in looks if "points" in look.facts]
    middle = median(counts, "points") if counts else most  # a surface gives as many as are asked
    num_points = max(power_of_two(min(middle, most)), 32)
    return Proposal(
        modality=PointGroups(
            num_points=num_points, num_groups=max(num_points // 16, 2), group_size=32
        ),
        masker=RandomMask(ratio=0.6),
        content=(("groups", GroupPoints(unit=0.15), chamfer_l2),),
        reasons=(
            f"clouds: {num_points} points in {max(num_points // 16, 2)} groups of 32, from a "
            f"middle number of {middle:.0f} points and at most {most} here",
            "3 of 5 groups are hidden: Point-MAE, 2203.06604",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> PointFiles:
    return PointFiles(path=path)


INSPECTOR = Inspector(name="points", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
