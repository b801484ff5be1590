"""Lidar sweeps as occupied voxels, with empty cells that are asked about."""

from modalities.voxels.files import SweepFiles, available_readers
from modalities.voxels.losses import masked_chamfer
from modalities.voxels.modality import VoxelGrid
from modalities.voxels.targets import VoxelCount, VoxelOccupied, VoxelPoints

__all__ = [
    "SweepFiles",
    "VoxelCount",
    "VoxelGrid",
    "VoxelOccupied",
    "VoxelPoints",
    "available_readers",
    "masked_chamfer",
]
