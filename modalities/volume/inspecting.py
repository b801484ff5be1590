"""What scans say of themselves, and how they would be pretrained (Hi-End-MAE, 2502.08347)."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from modalities.volume.files import VolumeFiles
from modalities.volume.modality import Lengths, VolumePatches
from modalities.volume.readers import NIFTI, SUFFIXES, Cut, Scan, Spacing, open_scan
from omnimask.data.folders import suffix_of
from omnimask.foundation.errors import DataError
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import RandomMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content

_AXES = ("depth", "height", "width")
_CHANNELS, _LOWEST = "channels", "lowest value"
_MOST_VOXELS = 20_000_000  # of a larger scan only the slices in the middle are looked at
_LEAST_EDGE = 5  # an array with a shorter axis is more likely a skeleton or a picture
_AIR_HU = -500.0  # every CT has values below it, nothing else is scaled like that
_TISSUE_HU = (-175.0, 250.0)  # the window of Hi-End-MAE


def _look(path: Path) -> Look:
    scan = open_scan(path)
    voxels = scan.cut(_middle(scan), max_voxels=2 * _MOST_VOXELS)
    lowest, highest = float(voxels.min()), float(voxels.max())
    if not math.isfinite(lowest + highest):
        raise DataError(f"{path}: has intensities that are not finite; mend or remove the file")
    shape = {f"{axis} (voxels)": count for axis, count in zip(_AXES, scan.shape, strict=True)}
    edges = {_mm(axis): mm for axis, mm in zip(_AXES, scan.spacing_mm or ())}
    return Look(
        facts={
            **shape,
            **edges,
            _CHANNELS: scan.num_channels,
            _LOWEST: lowest,
            "highest value": highest,
        },
        variant=f"{scan.num_channels} channel{'s' * (scan.num_channels > 1)}",
        fit=0.9 if _is_scan(scan) else 0.0,
    )


def _mm(axis: str) -> str:
    return f"{axis} of a voxel (mm)"


def _middle(scan: Scan) -> Cut:
    """All of a scan, or as many of its slices as are worth reading."""
    depth, height, width = scan.shape
    count = min(max(_MOST_VOXELS // (height * width * scan.num_channels), 1), depth)
    first = (depth - count) // 2
    return slice(first, first + count), slice(0, height), slice(0, width)


def _is_scan(scan: Scan) -> bool:
    """Arrays are read by other modalities too."""
    named = suffix_of(scan.path, SUFFIXES) in NIFTI or scan.spacing_mm is not None
    return named or min(scan.shape) >= _LEAST_EDGE


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    side, edge = (96, 12) if budget.large else (32, 8)
    spacing, lengths = _spacing(looks, side=side, coarser=not budget.large)
    patch = _lengths(min(edge, length) for length in lengths)
    size = _lengths(
        min(side, length // part * part) for length, part in zip(lengths, patch, strict=True)
    )
    is_ct = median(looks, _LOWEST) <= _AIR_HU
    grain = "voxels as in the files" if spacing is None else f"voxels of {spacing[0]:g} mm"
    values = f"the window {_TISSUE_HU} of soft tissue" if is_ct else "all intensities"
    return Proposal(
        modality=VolumePatches(
            size=size,
            patch=patch,
            num_channels=int(median(looks, _CHANNELS)),
            window=_TISSUE_HU if is_ct else None,
            spacing_mm=spacing,
        ),
        masker=RandomMask(ratio=0.75),
        content=(("intensities", Content(norm="token"), mse),),
        reasons=(
            f"scans: boxes of {size} in patches of {patch}, {grain}, at most {side} a side here; "
            f"{values}",
            "3 of 4 patches are hidden, intensities normalised per patch: Hi-End-MAE, 2502.08347",
        ),
    )


def _spacing(
    looks: Sequence[Look], *, side: int, coarser: bool
) -> tuple[Spacing | None, Sequence[int]]:
    """One distance for all axes, where all files say theirs, and the middle scan's voxels by it.

    It is the middle one of the three; `coarser`: or one at which `side` voxels see most of a scan.
    """
    shape = [int(median(looks, f"{axis} (voxels)")) for axis in _AXES]
    if not all(_mm(axis) in look.facts for look in looks for axis in _AXES):
        return None, shape
    edges = [float(median(looks, _mm(axis))) for axis in _AXES]
    extents = [count * mm for count, mm in zip(shape, edges, strict=True)]
    wanted = max(sorted(edges)[1], float(np.median(extents)) / side if coarser else 0.0)
    step = float(f"{wanted:.2g}")
    return (step, step, step), [max(round(extent / step), 1) for extent in extents]


def _lengths(numbers: Iterable[int]) -> Lengths:
    depth, height, width = numbers
    return depth, height, width


def _files(path: str, looks: Sequence[Look], modality: object) -> VolumeFiles:
    return VolumeFiles(path=path)


INSPECTOR = Inspector(name="volume", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
