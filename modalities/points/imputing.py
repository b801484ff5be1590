"""`omnimask impute` on a cloud of points."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.points.augment import Cloud, upright
from modalities.points.files import PointFiles, PointSource
from modalities.points.grouping import group_points
from modalities.points.modality import PointGroups
from modalities.points.readers.choice import SUFFIXES
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw, tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.clouds import check_box, check_ply, in_box, write_ply
from omnimask.transfer.imputing.request import Hide, Imputation, Request
from omnimask.transfer.imputing.restore import random_hidden, restore_hidden
from omnimask.transfer.imputing.stream_files import files_of, one_file


class CloudImputer:
    """Writes a PLY in the file's own units: the points that the model read and that stay visible,
    and the predicted ones. Hidden by a box or by a ratio of the groups of points.

    A group is hidden if any of its points is. Of a box only predictions inside of it are added.
    """

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, PointGroups), "asked only for those"
        hide = request.hidden("cloud")
        hide.only("a cloud", "box", "ratio")
        check_ply(request)
        files = files_of(model.recipe, name, PointFiles())
        cloud = _read(files, modality, request)
        members = _members(modality, cloud.raw)
        valid = modality.split(cloud.raw).valid[0]
        if hide.box is not None:
            gone = in_box(cloud.xyz, hide.box)
            check_box(gone, cloud.xyz, request.path)
            tokens = torch.from_numpy(gone)[members].any(dim=1) & valid
        else:
            assert hide.ratio is not None
            tokens = random_hidden(valid, ratio=hide.ratio, seed=hide.seed)
            gone = _only_in(members, tokens, valid, len(cloud.xyz))
        restored = restore_hidden(model, name, cloud.raw, tokens)
        centers = modality.split(cloud.raw).coords[0]
        places = modality.places(restored.values[None].cpu())[0] + centers[:, None]
        predicted = cloud.in_file(places[tokens].flatten(0, 1).numpy())
        if hide.box is not None:
            predicted = predicted[in_box(predicted, hide.box)]
        write_ply(request.out, cloud.xyz[~gone], predicted)
        return Imputation(
            files=(request.out,),
            notes=(_about(cloud, gone, predicted, hide, tokens), *restored.notes),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cloud:
    """The points as in the file (`xyz`), as the model sees them (`raw`), and the way back."""

    xyz: Float[np.ndarray, "p 3"]
    raw: Raw
    turn: Float[np.ndarray, "3 3"]
    center: Float[np.ndarray, " 3"]
    radius: float

    def in_file(self, places: Float[np.ndarray, "q 3"]) -> Float[np.ndarray, "q 3"]:
        return ((places * self.radius + self.center) @ self.turn.T).astype(np.float32)


def _read(files: PointFiles, modality: PointGroups, request: Request) -> _Cloud:
    """Two readings of the same points: as they are, and as the run reads them."""
    plain = replace(files, normalize="none", up_axis="z")
    samples = [
        PointSource(files=each, modality=modality, found=one_file(request.path)).read(
            0, Visit(key=0, augment=False)
        )
        for each in (plain, files)
    ]
    xyz = samples[0]["xyz"].numpy()
    turn = upright(Cloud(xyz=np.eye(3, dtype=np.float32)), files.up_axis).xyz
    turned = xyz @ turn
    center, radius = np.zeros(3), 1.0
    if files.normalize == "unit_sphere":
        center = turned.mean(axis=0, dtype=np.float64)
        radius = float(np.linalg.norm(turned - center, axis=1).max()) or 1.0
    return _Cloud(
        xyz=xyz, raw=modality.collate(samples[1:]), turn=turn, center=center, radius=radius
    )


def _members(modality: PointGroups, raw: Raw) -> Tensor:
    """The numbers of the points of each group, (n k)."""
    xyz, ok = tensor_of(raw, "xyz"), tensor_of(raw, "point_ok")
    ids = group_points(xyz, ok, num_groups=modality.num_groups, group_size=modality.group_size)
    return ids.member_ids[0]


def _only_in(
    members: Tensor, hidden: Bool[Tensor, " n"], valid: Bool[Tensor, " n"], num_points: int
) -> Bool[np.ndarray, " p"]:
    """The points of hidden groups that are in no visible one."""
    flags = torch.zeros(2, num_points, dtype=torch.bool)
    flags[0, members[hidden].flatten()] = True
    flags[1, members[valid & ~hidden].flatten()] = True
    return (flags[0] & ~flags[1]).numpy()


def _about(
    cloud: _Cloud,
    gone: Bool[np.ndarray, " p"],
    predicted: Float[np.ndarray, "q 3"],
    hide: Hide,
    hidden: Bool[Tensor, " n"],
) -> str:
    where = " inside of the box" if hide.box is not None else ""
    return (
        f"of {len(cloud.xyz)} points that the model reads {int(gone.sum())} were hidden and "
        f"{len(predicted)} are predicted{where}; the centres of the {int(hidden.sum())} hidden "
        "groups are taken from the file, as in training"
    )


IMPUTERS = {PointGroups: CloudImputer()}
