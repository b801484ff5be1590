"""Which box of a scan a view takes, and how its voxels get the size and distance asked for."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor

from modalities.volume.modality import Lengths
from modalities.volume.readers import Cut, Scan, Spacing
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Grain:
    """What is asked for: so many voxels at such a distance, None for that of each file."""

    size: Lengths
    spacing_mm: Spacing | None


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A box of a scan's voxels, the size it is resampled to, and the axes that are mirrored."""

    box: Cut
    size: Lengths
    mirrored: tuple[bool, bool, bool] = (False, False, False)


def view_of(
    scan: Scan,
    grain: Grain,
    *,
    place: tuple[float, float, float] = (0.5, 0.5, 0.5),
    zoom: float = 1.0,
) -> View:
    """`place`: along each axis from 0, the low end, to 1. `zoom`: how much more of the scan than
    usual is taken. A scan with fewer voxels is taken whole, and gives fewer.
    """
    box, size = [], []
    for length, step, wanted, where in zip(
        scan.shape, _steps(scan, grain, zoom), grain.size, place, strict=True
    ):
        full = max(round(wanted * step), 1)
        taken = min(full, length)
        start = min(math.floor(where * (length - taken + 1)), length - taken)
        box.append(slice(start, start + taken))
        size.append(wanted if taken == full else min(max(round(taken / step), 1), wanted))
    return View(box=(box[0], box[1], box[2]), size=(size[0], size[1], size[2]))


def random_view(
    scan: Scan,
    grain: Grain,
    visit: Visit,
    *,
    zoom: tuple[float, float] | None,
    flip: tuple[float, float, float],
) -> View:
    """Of a training visit; the same numbers are drawn for every file of a sample."""
    place = visit.generator("box").random(3).tolist()
    factor = 1.0 if zoom is None else float(visit.generator("zoom").uniform(*zoom))
    view = view_of(scan, grain, place=(place[0], place[1], place[2]), zoom=factor)
    drawn = visit.generator("flip").random(3)
    d, h, w = (bool(chance < limit) for chance, limit in zip(drawn, flip, strict=True))
    return View(box=view.box, size=view.size, mirrored=(d, h, w))


def _steps(scan: Scan, grain: Grain, zoom: float) -> tuple[float, ...]:
    """The distance of the voxels asked for, in voxels of the file."""
    if grain.spacing_mm is None:
        return (zoom,) * 3
    if scan.spacing_mm is None:
        raise DataError(
            f"{scan.path}: does not say how large its voxels are; give VolumeFiles.spacing_mm "
            "(depth, height, width), an array spacing_mm in .npz, or spacing_mm=None of the "
            "modality to take voxels as they are"
        )
    return tuple(new / own * zoom for new, own in zip(grain.spacing_mm, scan.spacing_mm))


def resampled(voxels: Float[Tensor, "c d h w"], size: Lengths) -> Float[Tensor, "c y x z"]:
    """Linearly along each axis, with an antialiasing filter where it shrinks."""
    depth, height, width = voxels.shape[1:]
    if (height, width) != size[1:]:
        voxels = F.interpolate(voxels, size=size[1:], mode="bilinear", antialias=True)
    if depth != size[0]:
        flat = rearrange(voxels, "c d h w -> 1 c d (h w)")
        flat = F.interpolate(flat, size=(size[0], flat.shape[3]), mode="bilinear", antialias=True)
        voxels = rearrange(flat, "1 c d (h w) -> c d h w", h=size[1])
    return voxels


def nearest(classes: Shaped[Tensor, "d h w"], size: Lengths) -> Shaped[Tensor, "y x z"]:
    """The voxel in which the middle of each output voxel lies."""
    for axis, (length, wanted) in enumerate(zip(classes.shape, size, strict=True)):
        ids = (torch.arange(wanted) * 2 + 1) * length // (2 * wanted)
        classes = classes.index_select(axis, ids)
    return classes


def mirrored(voxels: Shaped[Tensor, "*lead d h w"], view: View) -> Shaped[Tensor, "*lead d h w"]:
    return voxels.flip([axis - 3 for axis, turned in enumerate(view.mirrored) if turned])
