"""One encoder for images, video, audio, point clouds, voxels and tables, masked and mixed.

No paper does this; the parts are those of MAE and its descendants, one masker per modality with the
ratio of that modality's own paper.
"""

import sys
from dataclasses import replace

from modalities.audio import AudioFiles, AudioSpectrogram
from modalities.image import ImageFiles, ImagePatches
from modalities.points import PointFiles, PointGroups, chamfer_l2
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
from omnimask.cli import main
from omnimask.decoders import SelfAttentionDecoder
from omnimask.encoder import Encoder, vit
from omnimask.losses import bce, mse, smooth_l1
from omnimask.masking import PerModality, RandomMask, TubeMask
from omnimask.modality import Files, Modality
from omnimask.objective import Objective
from omnimask.recipe import Data, Optim, Recipe, Run, Stream
from omnimask.targets import Content, TeacherFeatures
from omnimask.teacher import Teacher

# Mask ratios of MAE (2111.06377), VideoMAE (2203.12602), AudioMAE (2207.06405), Point-MAE
# (2203.06604), Voxel-MAE (2207.00531) and ReMasker (2309.13793).
MASKER = PerModality(
    masks={
        "image": RandomMask(ratio=0.75),
        "video": TubeMask(ratio=0.9),
        "audio": RandomMask(ratio=0.8),
        "points": RandomMask(ratio=0.6),
        "voxels": RandomMask(ratio=0.7),
        "table": RandomMask(ratio=0.5),
    }
)


def _small_modalities() -> tuple[Modality, ...]:
    """Sizes at which two CPU cores make hundreds of steps in minutes."""
    return (
        ImagePatches(size=(32, 32), patch=(4, 4)),
        VideoTubelets(num_frames=8, size=(48, 48), tubelet=(2, 8, 8)),
        AudioSpectrogram(window_s=1.28, num_mels=64, patch=(16, 8)),
        PointGroups(num_points=512, num_groups=32, group_size=32),
        VoxelGrid(
            voxel_size_m=(2.5, 2.5, 1.5),
            range_m=((-20.0, 20.0), (-20.0, 20.0), (-3.0, 3.0)),
            max_voxels=96,
            points_per_voxel=16,
        ),
        TableCells(),
    )


def _objectives() -> tuple[Objective, ...]:
    def pixels(modality: str) -> Objective:
        return Objective(
            name=f"{modality}_pixels", modality=modality, target=Content(norm="token"), loss=mse
        )

    return (
        pixels("image"),
        pixels("video"),
        Objective(name="audio_logmel", modality="audio", target=Content(), loss=mse),
        # Squared distances inside a small group are tiny: the best constant scores about 0.02 where
        # the normalised targets of the others score about 1.
        Objective(
            name="points_groups",
            modality="points",
            target=Content(),
            loss=chamfer_l2,
            weight=30.0,
        ),
        Objective(
            name="voxel_points", modality="voxels", target=VoxelPoints(), loss=masked_chamfer
        ),
        Objective(name="voxel_count", modality="voxels", target=VoxelCount(), loss=smooth_l1),
        Objective(name="voxel_occupied", modality="voxels", target=VoxelOccupied(), loss=bce),
        Objective(name="table_cells", modality="table", target=Cells(), loss=cell_loss),
    )


def _sample_files(split: str) -> dict[str, Files]:
    return {
        "image": ImageFiles(path=f"images/{split}", crop_scale=(0.6, 1.0), flip=0.0),
        "video": VideoFiles(path=f"video/{split}", frame_stride=2),
        "audio": AudioFiles(path=f"audio/{split}"),
        "points": PointFiles(path=f"points/{split}"),
        "voxels": SweepFiles(path=f"voxels/{split}"),
        "table": TableFiles(path=f"tables/{split}", label_column="target"),
        "sound track": AudioFiles(path=f"video/{split}"),
    }


def _sample_streams(batch_sizes: dict[str, int]) -> tuple[Stream, ...]:
    """One stream per modality, and clips with their own sound as paired samples."""
    train, held_out = _sample_files("train"), _sample_files("held_out")
    single = [
        Stream(
            name=name,
            files={name: train[name]},
            held_out={name: held_out[name]},
            batch_size=batch_sizes[name],
        )
        for name in ("image", "video", "audio", "points", "voxels", "table")
    ]
    paired = Stream(
        name="video+audio",
        files={"video": train["video"], "audio": train["sound track"]},
        held_out={"video": held_out["video"], "audio": held_out["sound track"]},
        batch_size=batch_sizes["video+audio"],
    )
    return (*single, paired)


def quickstart() -> Recipe:
    """The main job of `make pretrain`: six modalities of the sample data in minutes on two cores.

    Modalities: image, video, audio, points, voxels, table
    Paper: none; MAE (https://arxiv.org/abs/2111.06377) on every modality
    Status: runs; held-out losses and kNN accuracies are in its report
    """
    batch_sizes = {
        "image": 24,
        "video": 4,
        "audio": 8,
        "points": 8,
        "voxels": 6,
        "table": 24,
        "video+audio": 2,
    }
    return Recipe(
        name="quickstart",
        modalities=_small_modalities(),
        masker=MASKER,
        encoder=Encoder(width=192, depth=5, num_heads=6),
        decoders={"main": SelfAttentionDecoder(width=128, depth=2, num_heads=4)},
        objectives=_objectives(),
        data=Data(root="data/sample", streams=_sample_streams(batch_sizes)),
        optim=Optim(steps=400, lr=1e-3, warmup_steps=40),
        run=Run(num_workers=1, checkpoint_every=100),
    )


def debug() -> Recipe:
    """Two blocks and four samples per stream: what the tests run.

    Modalities: image, video, audio, points, voxels, table
    Paper: none
    Status: runs in seconds; learns nothing of use
    """
    recipe = quickstart()
    batch_sizes = {stream.name: 4 for stream in recipe.data.streams}
    return replace(
        recipe,
        name="debug",
        encoder=Encoder(width=48, depth=2, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=32, depth=1, num_heads=2)},
        data=replace(recipe.data, streams=_sample_streams(batch_sizes)),
        optim=Optim(steps=4, lr=1e-3, warmup_steps=1),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )


def latent() -> Recipe:
    """The quickstart with features of an EMA teacher as targets in place of content.

    Modalities: image, video, audio, points, voxels, table
    Paper: the target of V-JEPA (https://arxiv.org/abs/2404.08471) with MAE's masks
    Status: runs; not tuned
    """
    recipe = quickstart()
    objectives = tuple(
        Objective(
            name=f"{modality.name}_features",
            modality=modality.name,
            target=TeacherFeatures(layers=(-1,), norm="layer"),
            loss=smooth_l1,
        )
        for modality in recipe.modalities
    )
    return replace(
        recipe, name="latent", objectives=objectives, teacher=Teacher(decay=0.99, final_decay=0.999)
    )


def omni() -> Recipe:
    """All modalities at the sizes of their own papers, for GPUs; set data.root to your folders.

    Modalities: image, video, audio, points, voxels, table
    Paper: none; sizes of MAE, VideoMAE, AudioMAE, Point-MAE and Voxel-MAE
    Status: steps on the sample data; no full run yet
    """
    batch_sizes = {
        "image": 64,
        "video": 16,
        "audio": 16,
        "points": 64,
        "voxels": 16,
        "table": 256,
        "video+audio": 8,
    }
    return Recipe(
        name="omni",
        modalities=(
            ImagePatches(size=(224, 224), patch=(16, 16)),
            VideoTubelets(num_frames=16, size=(224, 224), tubelet=(2, 16, 16)),
            AudioSpectrogram(window_s=10.24, num_mels=128, patch=(16, 16)),
            PointGroups(num_points=1024, num_groups=64, group_size=32),
            VoxelGrid(),
            TableCells(),
        ),
        masker=MASKER,
        encoder=vit("base"),
        decoders={"main": SelfAttentionDecoder(width=512, depth=4, num_heads=16)},
        objectives=_objectives(),
        data=Data(root="data/sample", streams=_sample_streams(batch_sizes)),
        optim=Optim(steps=200_000, lr=1.5e-4, warmup_steps=10_000),
        run=Run(num_workers=12, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.omni:quickstart", *sys.argv[1:]]))
