"""`omnimask impute` on a scan."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from modalities.volume.files import VolumeFiles, VolumeSource, windowed
from modalities.volume.modality import VolumePatches
from modalities.volume.readers import NIFTI, SUFFIXES, Scan
from modalities.volume.views import View, resampled, view_of
from omnimask.data.folders import suffix_of
from omnimask.data.pixels import patchify, unpatchify
from omnimask.data.reading import named_errors
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.optional import needs
from omnimask.tokens.tokens import tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Hide, Imputation, Request
from omnimask.transfer.imputing.restore import random_hidden, restore_hidden
from omnimask.transfer.imputing.stream_files import files_of, one_file


class ScanImputer:
    """Writes the box of the scan that the model sees as NIfTI, in its place in the scan. Hidden by
    a box in voxels (x, y, z, x, y, z; from the left, the back and the feet) or by a ratio of the
    patches. What is not hidden keeps the file's intensities, resampled where `spacing_mm` says so.
    """

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, VolumePatches), "asked only for those"
        hide = request.hidden("scan")
        hide.only("a scan", "box", "ratio")
        if suffix_of(request.out, NIFTI) not in NIFTI:
            raise DataError(f"{request.out}: an imputed scan is written as .nii or .nii.gz")
        files = files_of(model.recipe, name, VolumeFiles())
        source = VolumeSource(one_file(request.path), files, modality)
        with named_errors(str(request.path)):
            scan = source.scan(request.path)
            view = view_of(scan, source.grain, place=_place(scan, hide))
            voxels = resampled(source.voxels(scan, view), view.size)
        shown = windowed(voxels, modality.window).transpose(0, 1)
        raw = modality.collate([{"voxels": shown}])
        grid = (modality.grid["d"], modality.grid["h"], modality.grid["w"])
        valid = modality.split(raw).valid[0]
        if hide.box is None:
            assert hide.ratio is not None
            tokens = random_hidden(valid, ratio=hide.ratio, seed=hide.seed)
            spread = tokens[None, :, None].expand(-1, -1, modality.num_values)
            gone = unpatchify(spread, modality.patch, grid)[0, :, 0]
        else:
            gone = torch.zeros(modality.size, dtype=torch.bool)
            gone[_inside(view, hide.box, request.path)] = True
            every = gone[None, :, None].expand(-1, -1, modality.num_channels, -1, -1)
            tokens = patchify(every, modality.patch)[0].any(dim=1) & valid
        restored = restore_hidden(model, name, raw, tokens)
        d, h, w = view.size
        joined = tensor_of(modality.join(restored.values[None].cpu(), raw), "voxels")[0]
        predicted = _unwindowed(joined[:d, :, :h, :w].transpose(0, 1), modality.window)
        filled = torch.where(gone[:d, :h, :w], predicted, voxels)
        _write(filled, request.out, scan, view)
        about = (
            f"{d} x {h} x {w} voxels (depth, height, width) from {[b.start for b in view.box]} of "
            f"{list(scan.shape)}, which is the box that the model sees; "
            f"{int(gone[:d, :h, :w].sum())} of them are predicted"
        )
        return Imputation(files=(request.out,), notes=(about, *restored.notes))


def _corners(box: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """From and to along depth, height and width."""
    if len(box) != 6 or not all(low < high for low, high in zip(box[:3], box[3:])):
        raise RecipeError(
            f"--hide-box takes X,Y,Z,X,Y,Z, the lower corner first, in voxels, got {box}"
        )
    return tuple((box[axis], box[axis + 3]) for axis in (2, 1, 0))


def _place(scan: Scan, hide: Hide) -> tuple[float, float, float]:
    """Where the crop is taken: around the box that is hidden, else in the middle."""
    if hide.box is None:
        return 0.5, 0.5, 0.5
    middles = [sum(pair) / 2 / n for pair, n in zip(_corners(hide.box), scan.shape, strict=True)]
    d, h, w = (min(max(middle, 0.0), 1.0) for middle in middles)
    return d, h, w


def _inside(view: View, box: tuple[float, ...], path: Path) -> tuple[slice, slice, slice]:
    """The view's voxels that any part of the box lies in; DataError where it has none."""
    parts = []
    for (low, high), taken, size in zip(_corners(box), view.box, view.size, strict=True):
        scale = size / (taken.stop - taken.start)
        first = max(int(np.floor((low - taken.start) * scale)), 0)
        last = min(int(np.ceil((high - taken.start) * scale)), size)
        parts.append(slice(first, last))
    if any(part.start >= part.stop for part in parts):
        seen = [(part.start, part.stop) for part in reversed(view.box)]
        raise DataError(
            f"{path}: no voxel that the model sees lies in --hide-box {box}; they are from and to "
            f"{seen} along x, y, z"
        )
    return parts[0], parts[1], parts[2]


def _unwindowed(
    voxels: Float[Tensor, "*shape"], window: tuple[float, float] | None
) -> Float[Tensor, "*shape"]:
    return voxels if window is None else voxels * (window[1] - window[0]) + window[0]


def _write(voxels: Float[Tensor, "c d h w"], path: Path, scan: Scan, view: View) -> None:
    """With the affine of the box within the scan."""
    needs("nibabel", extra="volume", what=str(path))
    import nibabel

    within = np.eye(4)
    for axis, (taken, size) in enumerate(zip(reversed(view.box), reversed(view.size))):
        step = (taken.stop - taken.start) / size
        within[axis, axis] = step
        within[axis, 3] = taken.start + step / 2 - 0.5
    array = rearrange(voxels, "c d h w -> w h d c").contiguous().numpy()
    array = array[..., 0] if array.shape[3] == 1 else array
    image = nibabel.Nifti1Image(array, scan.affine @ within)
    nibabel.save(image, path)


IMPUTERS = {VolumePatches: ScanImputer()}
