"""`omnimask impute` on a lidar sweep."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.voxels.files import SUFFIXES, SweepFiles, SweepSource
from modalities.voxels.modality import VoxelGrid
from omnimask.data.point_files import PLACE, stack
from omnimask.data.reading import read_sample
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw, tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.clouds import check_box, check_ply, in_box, write_ply
from omnimask.transfer.imputing.request import Imputation, Request
from omnimask.transfer.imputing.restore import Restored, random_hidden, restore_hidden
from omnimask.transfer.imputing.stream_files import files_of, one_file


class SweepImputer:
    """Writes a PLY: all points of the sweep outside of what is hidden, and the predicted ones.
    Hidden by a box in metres or by a ratio of the occupied voxels.

    A voxel is hidden if any of its points is. Of a box only predictions inside of it are added.
    """

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, VoxelGrid), "asked only for those"
        hide = request.hidden("sweep")
        hide.only("a sweep", "box", "ratio")
        check_ply(request)
        files = files_of(model.recipe, name, SweepFiles())
        source = SweepSource(files=files, modality=modality, found=one_file(request.path))
        raw = modality.collate([read_sample(source, 0, Visit(key=0, augment=False))])
        xyz = stack(source.table(Path(request.path)), PLACE)
        occupied = modality.split(raw).valid[0]
        voxel_of = _voxel_of(modality, raw, xyz)
        if hide.box is not None:
            gone = in_box(xyz, hide.box)
            check_box(gone, xyz, request.path)
            tokens = _with_any(gone, voxel_of, len(occupied)) & occupied
        else:
            assert hide.ratio is not None
            tokens = random_hidden(occupied, ratio=hide.ratio, seed=hide.seed)
            gone = (voxel_of >= 0) & tokens.numpy()[voxel_of]
        restored = restore_hidden(model, name, raw, tokens)
        predicted = _predicted(modality, raw, restored, tokens)
        if hide.box is not None:
            predicted = predicted[in_box(predicted, hide.box)]
        write_ply(request.out, xyz[~gone], predicted)
        about = (
            f"of {len(xyz)} points {int(gone.sum())} were hidden and {len(predicted)} are "
            f"predicted; which {int(tokens.sum())} hidden voxels are occupied is taken from "
            "the file, and no intensity is predicted"
        )
        return Imputation(files=(request.out,), notes=(about, *restored.notes))


def _voxel_of(modality: VoxelGrid, raw: Raw, xyz: Float[np.ndarray, "p 3"]) -> np.ndarray:
    """The number of the token that each point lies in, -1 for points of no token."""
    cell, occupied = tensor_of(raw, "cell"), tensor_of(raw, "occupied")
    low = np.array([axis[0] for axis in modality.range_m])
    cells = np.floor((xyz.astype(np.float64) - low) / np.array(modality.voxel_size_m)).astype(int)
    tokens = {tuple(c): i for i, c in enumerate(cell[0].tolist()) if bool(occupied[0, i])}
    return np.array([tokens.get(tuple(each), -1) for each in cells.tolist()])


def _with_any(
    gone: Bool[np.ndarray, " p"], voxel_of: np.ndarray, num_tokens: int
) -> Bool[Tensor, " n"]:
    hidden = torch.zeros(num_tokens, dtype=torch.bool)
    hidden[torch.from_numpy(np.unique(voxel_of[gone & (voxel_of >= 0)]))] = True
    return hidden


def _predicted(
    modality: VoxelGrid, raw: Raw, restored: Restored, hidden: Bool[Tensor, " n"]
) -> Float[np.ndarray, "q 3"]:
    joined = modality.join(restored.values[None].cpu(), raw)
    points, ok = tensor_of(joined, "points"), tensor_of(joined, "point_ok")
    return points[0][hidden[:, None] & ok[0]].numpy()


IMPUTERS = {VoxelGrid: SweepImputer()}
