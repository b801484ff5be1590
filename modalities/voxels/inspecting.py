"""What lidar sweeps say of themselves, and how they would be pretrained (Voxel-MAE, 2207.00531)."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modalities.voxels.files import SUFFIXES, SweepFiles, SweepSource
from modalities.voxels.losses import masked_chamfer
from modalities.voxels.modality import VoxelGrid
from modalities.voxels.targets import VoxelCount, VoxelOccupied, VoxelPoints
from omnimask.data.folders import FolderFiles
from omnimask.data.point_files import PLACE, stack
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import RandomMask
from omnimask.objectives.objective import bce, smooth_l1

_SWEEP_M = 20.0  # narrower than this it is more likely an object than a sweep in metres
_REACH, _LOW, _HIGH = "reach (m)", "lowest (m)", "highest (m)"


def _look(path: Path) -> Look:
    found = FolderFiles(folder=str(path.parent), names=(path.name,), labels="none")
    source = SweepSource(files=SweepFiles(nan="drop"), modality=VoxelGrid(), found=found)
    places = stack(source.table(path), PLACE)
    wide = float(np.ptp(places[:, :2], axis=0).max()) >= _SWEEP_M
    return Look(
        facts={
            "points": len(places),
            _REACH: float(np.quantile(np.abs(places[:, :2]).max(axis=1), 0.95)),
            _LOW: float(np.quantile(places[:, 2], 0.01)),
            _HIGH: float(np.quantile(places[:, 2], 0.99)),
        },
        fit=0.9 if wide else 0.1,
    )


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    reach = float(max(math.ceil(median(looks, _REACH)), 1))
    low, high = math.floor(median(looks, _LOW)), math.ceil(median(looks, _HIGH))
    across, up = (0.5, 0.5) if budget.large else (reach / 8, max(high - low, 1) / 4)
    modality = VoxelGrid(
        voxel_size_m=(across, across, up),
        range_m=((-reach, reach), (-reach, reach), (float(low), float(max(high, low + 1)))),
        max_voxels=256 if budget.large else 96,
        points_per_voxel=16,
    )
    return Proposal(
        modality=modality,
        masker=RandomMask(ratio=0.7),
        content=(
            ("points", VoxelPoints(), masked_chamfer),
            ("count", VoxelCount(), smooth_l1),
            ("occupied", VoxelOccupied(), bce),
        ),
        reasons=(
            f"sweeps: voxels of {across} × {across} × {up} m within {reach:.0f} m of the sensor, "
            "where 95 of 100 points lie",
            "7 of 10 voxels are hidden: Voxel-MAE, 2207.00531",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> SweepFiles:
    return SweepFiles(path=path)


INSPECTOR = Inspector(name="voxels", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
