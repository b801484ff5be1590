"""Point clouds and meshes as groups of neighbouring points."""

from modalities.points.files import PointFiles
from modalities.points.grouping import group_points
from modalities.points.losses import chamfer_l1, chamfer_l2
from modalities.points.modality import PointGroups
from modalities.points.parts import PartFiles, PointParts
from modalities.points.readers.choice import available_readers
from modalities.points.targets import GroupPoints

__all__ = [
    "GroupPoints",
    "PartFiles",
    "PointFiles",
    "PointGroups",
    "PointParts",
    "available_readers",
    "chamfer_l1",
    "chamfer_l2",
    "group_points",
]
