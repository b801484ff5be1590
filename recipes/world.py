"""One encoder on the world: scenes that six senses observe, every factor known (docs/world.md).

The world is made by `omnimask sample-data ROOT --scenes N`. A sense is a modality: images, clips,
sounds, clouds, sweeps and rows of a table. Reports ask the frozen encoder for the factors of
held-out scenes, whose objects no training scene has.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modalities.audio import AudioFiles
from modalities.image import ImageFiles, ImagePatches
from modalities.points import PointFiles, PointGroups
from modalities.tabular import TableFiles
from modalities.video import VideoFiles
from modalities.voxels import SweepFiles, VoxelGrid
from omnimask.commands.main import main
from omnimask.masking import HideAll, PerModality
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, LabelTable, Optim, Run, Stream
from omnimask.sample_data.world.generate import FACTORS
from omnimask.sample_data.world.layout import FOLDERS, SENSES
from omnimask.sample_data.world.seen import CLASS_FACTORS, SEEN
from omnimask.tokens.modality import Files, Modality
from recipes.sample_modalities import sample_modality
from recipes.small import DECODER, content, masker

ROOT = "data/world"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sense:
    """How a sense is read: views that leave the factors as they are, without mirroring and hardly
    cropped. `batch_size` is that of the main job. `weight` multiplies its losses: about the root of
    what would make gradients of the shared blocks equal at the start (tools/gradient_norms.py).
    """

    modality: Modality
    files: Callable[[str], Files]
    batch_size: int
    weight: float = 1.0


WORLD = {
    "image": Sense(
        modality=ImagePatches(size=(64, 64), patch=(8, 8)),
        files=lambda path: ImageFiles(path=path, crop_scale=(0.85, 1.0), flip=0.0),
        batch_size=32,
    ),
    "video": Sense(
        modality=sample_modality("video").small,
        files=lambda path: VideoFiles(path=path, frame_stride=2, crop_scale=(0.85, 1.0)),
        batch_size=12,
        weight=2.0,
    ),
    "audio": Sense(
        modality=sample_modality("audio").small,
        files=lambda path: AudioFiles(path=path),
        batch_size=16,
    ),
    "points": Sense(
        modality=PointGroups(num_points=512, num_groups=32, group_size=16, unit=0.05),
        files=lambda path: PointFiles(path=path, rotate="none", scale=(0.9, 1.1), jitter=0.005),
        batch_size=16,
        weight=0.3,
    ),
    "voxels": Sense(
        # Objects are two metres large, the sensor is 1.73 m above ground: without the ground, which
        # would be four voxels of five, half a metre fits as many tokens as a metre does with it.
        modality=VoxelGrid(
            voxel_size_m=(0.5, 0.5, 0.5),
            range_m=((-6.0, 6.0), (-6.0, 6.0), (-1.6, 2.4)),
            max_voxels=96,
            points_per_voxel=16,
            with_intensity=True,
        ),
        files=lambda path: SweepFiles(path=path, columns=("x", "y", "z", "intensity"), scale=None),
        batch_size=24,
        weight=0.2,
    ),
    "table": Sense(
        modality=sample_modality("table").small,
        files=lambda path: TableFiles(path=path, label_column="target"),
        batch_size=48,
        weight=0.1,
    ),
}


def files(sense: str, split: str) -> Files:
    """The files of a sense; `split` is "train" or "held_out"."""
    return WORLD[sense].files(f"{FOLDERS[sense]}/{split}")


def stream(sense: str, *, batch_size: int | None = None) -> Stream:
    """The files of a sense, and the factors that its samples are asked for."""
    return Stream(
        name=sense,
        files={sense: files(sense, "train")},
        held_out={sense: files(sense, "held_out")},
        batch_size=batch_size or WORLD[sense].batch_size,
        labels=LabelTable(
            table=FACTORS,
            classes=tuple(factor for factor in SEEN[sense] if factor in CLASS_FACTORS),
            numbers=tuple(factor for factor in SEEN[sense] if factor not in CLASS_FACTORS),
        ),
    )


def pair(sense: str, other: str, *, batch_size: int | None = None) -> Stream:
    """The scenes that two senses have seen, both in one sequence."""
    return Stream(
        name=f"{sense}+{other}",
        files={name: files(name, "train") for name in (sense, other)},
        batch_size=batch_size or WORLD[sense].batch_size,
    )


def masked_autoencoder(name: str, senses: Sequence[str], *, pairs: bool = False) -> Recipe:
    """MAE on some senses at once, each at the ratio of its modality's own paper.

    Every sense has a decoder of its own: one that all share learns to use places much later, and
    holds the encoder back (docs/learning.md has both). With `pairs`, and where the table is among
    the senses, each other sense also has to tell the whole row of its scene.
    """
    told = [s for s in senses if s != "table"] if pairs and "table" in senses else []
    streams = (*(stream(sense) for sense in senses), *(pair(sense, "table") for sense in told))
    return Recipe(
        name=name,
        modalities=tuple(WORLD[sense].modality for sense in senses),
        masker=PerModality(
            masks={sense: masker(sense) for sense in senses},
            beside={"table": HideAll()} if told else {},
        ),
        encoder=Encoder(width=128, depth=4, num_heads=4),
        decoders=dict.fromkeys(senses, DECODER),
        objectives=tuple(
            replace(objective, weight=WORLD[sense].weight)
            for sense in senses
            for objective in content(sense, decoder=sense)
        ),
        data=Data(root=ROOT, streams=streams),
        optim=Optim(steps=600, lr=1.5e-3, warmup_steps=60),
        run=Run(num_workers=1, checkpoint_every=150),
    )


def quickstart() -> Recipe:
    """The main job of `make pretrain`: six senses of a world in minutes on two cores.

    Modalities: image, video, audio, points, voxels, table
    Paper: none; MAE (https://arxiv.org/abs/2111.06377) on every modality
    Status: runs; what its frozen features know of each factor is in its report
    """
    return masked_autoencoder("quickstart", SENSES)


if __name__ == "__main__":
    sys.exit(main(["pretrain", "recipes.world:quickstart", *sys.argv[1:]]))
