"""What the `cpu` and `debug` sizes of all methods share: small modalities on the sample data.

A method says in `Parts` what it adds to modalities, an encoder and data; `small_recipe` makes a
recipe of it, for one modality or for several with the parts of each merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modalities.audio import AudioFiles, AudioSpectrogram
from modalities.image import ImageFiles, ImagePatches
from modalities.points import GroupPoints, PointFiles, PointGroups, chamfer_l2
from modalities.tabular import Cells, TableCells, TableFiles, cell_loss
from modalities.video import VideoFiles, VideoTubelets
from modalities.voxels import (
    SweepFiles,
    VoxelCount,
    VoxelGrid,
    VoxelOccupied,
    VoxelPoints,
    masked_chamfer,
)
from omnimask.decoders import Decoder, SelfAttentionDecoder
from omnimask.masking import Masker, PerModality
from omnimask.network.encoder import Encoder
from omnimask.objectives.losses import bce, mse, smooth_l1
from omnimask.objectives.objective import Loss, Objective
from omnimask.objectives.targets import Content, Target, TrainedTarget
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.recipe.teacher import FrozenTeacher, Teacher
from omnimask.tokens.modality import Files, Modality

ROOT = "data/sample"
MODALITIES = ("image", "video", "audio", "points", "voxels", "table")
GRIDS = ("image", "video", "audio")  # those whose tokens stand on a grid

# Mask ratios of MAE (2111.06377), VideoMAE (2203.12602), AudioMAE (2207.06405), Point-MAE
# (2203.06604), Voxel-MAE (2207.00531) and ReMasker (2309.13793).
RATIOS = {"image": 0.75, "video": 0.9, "audio": 0.8, "points": 0.6, "voxels": 0.7, "table": 0.5}
BATCH_SIZES = {"image": 24, "video": 4, "audio": 8, "points": 8, "voxels": 6, "table": 24}
ENCODER = Encoder(width=128, depth=4, num_heads=4)
DECODER = SelfAttentionDecoder(width=64, depth=2, num_heads=4)


def modality(name: str) -> Modality:
    """A modality at a size at which two CPU cores make hundreds of steps in minutes."""
    return {
        "image": ImagePatches(size=(32, 32), patch=(4, 4)),
        "video": VideoTubelets(num_frames=8, size=(48, 48), tubelet=(2, 8, 8)),
        "audio": AudioSpectrogram(window_s=1.28, num_mels=64, patch=(16, 8)),
        "points": PointGroups(num_points=512, num_groups=32, group_size=32),
        "voxels": VoxelGrid(
            voxel_size_m=(2.5, 2.5, 1.5),
            range_m=((-20.0, 20.0), (-20.0, 20.0), (-3.0, 3.0)),
            max_voxels=96,
            points_per_voxel=16,
        ),
        "table": TableCells(),
    }[name]


def files(name: str, split: str) -> Files:
    """The sample data's files of a modality; `split` is "train" or "held_out"."""
    return {
        "image": ImageFiles(path=f"images/{split}", crop_scale=(0.6, 1.0), flip=0.0),
        "video": VideoFiles(path=f"video/{split}", frame_stride=2),
        "audio": AudioFiles(path=f"audio/{split}"),
        "points": PointFiles(path=f"points/{split}"),
        "voxels": SweepFiles(path=f"voxels/{split}"),
        "table": TableFiles(path=f"tables/{split}", label_column="target"),
    }[name]


def stream(name: str, *, batch_size: int | None = None) -> Stream:
    """The sample data's stream of one modality."""
    return Stream(
        name=name,
        files={name: files(name, "train")},
        held_out={name: files(name, "held_out")},
        batch_size=batch_size or BATCH_SIZES[name],
    )


def content(name: str, *, decoder: str = "main") -> tuple[Objective, ...]:
    """Reconstruction of a modality's own content, as the paper of that modality does it."""

    def one(what: str, target: Target, loss: Loss) -> Objective:
        return Objective(
            name=f"{name}_{what}", modality=name, target=target, loss=loss, decoder=decoder
        )

    if name in ("image", "video"):
        return (one("pixels", Content(norm="token"), mse),)
    if name == "audio":
        return (one("logmel", Content(), mse),)
    if name == "points":
        # The typical distance from a group's centre is the unit: losses are then of order one.
        return (one("groups", GroupPoints(unit=0.15), chamfer_l2),)
    if name == "voxels":
        return (
            one("points", VoxelPoints(), masked_chamfer),
            one("count", VoxelCount(), smooth_l1),
            one("occupied", VoxelOccupied(), bce),
        )
    return (one("cells", Cells(), cell_loss),)


def latent(
    name: str, target: Target | TrainedTarget, loss: Loss, *, decoder: str = "main"
) -> Objective:
    """One objective on a teacher's features, the same for every modality."""
    return Objective(
        name=f"{name}_features", modality=name, target=target, loss=loss, decoder=decoder
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a method adds: everything of a recipe but modalities, encoder, data and schedule."""

    masker: Masker
    objectives: tuple[Objective, ...]
    decoders: dict[str, Decoder]
    hidden: str = "drop"
    teacher: Teacher | FrozenTeacher | None = None


def merge(parts: dict[str, Parts]) -> Parts:
    """One set of parts for several modalities, each masked by its own masker."""
    first = next(iter(parts.values()))
    assert all((p.hidden, p.teacher) == (first.hidden, first.teacher) for p in parts.values())
    decoders: dict[str, Decoder] = {}
    for part in parts.values():
        for name, decoder in part.decoders.items():
            assert decoders.setdefault(name, decoder) == decoder, f"two decoders called {name}"
    return replace(
        first,
        masker=PerModality(masks={name: part.masker for name, part in parts.items()}),
        objectives=tuple(o for part in parts.values() for o in part.objectives),
        decoders=decoders,
    )


def small_recipe(
    name: str,
    parts: Parts,
    modalities: Sequence[str],
    *,
    optim: Optim | None = None,
    encoder: Encoder = ENCODER,
) -> Recipe:
    """The `cpu` size of a method on the sample data of the given modalities."""
    return Recipe(
        name=name,
        modalities=tuple(modality(m) for m in modalities),
        masker=parts.masker,
        encoder=encoder,
        decoders=parts.decoders,
        objectives=parts.objectives,
        data=Data(root=ROOT, streams=tuple(stream(m) for m in modalities)),
        optim=optim or Optim(steps=600, lr=1e-3, warmup_steps=60),
        hidden=parts.hidden,  # pyright: ignore[reportArgumentType]
        teacher=parts.teacher,
        run=Run(num_workers=1, checkpoint_every=200),
    )


def debug_size(recipe: Recipe) -> Recipe:
    """The same parts with four samples per stream and four steps: what the tests run."""
    streams = tuple(replace(s, batch_size=4) for s in recipe.data.streams)
    return replace(
        recipe,
        name=f"{recipe.name}-debug",
        data=replace(recipe.data, streams=streams),
        optim=replace(recipe.optim, steps=4, warmup_steps=1, accumulate=1),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )
