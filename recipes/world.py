"""One encoder on the world: scenes that six senses observe, every factor known (docs/world.md).

The world is made by `tools/make_sample_data.py ROOT --scenes N`. A sense is a modality: images,
clips, sounds, clouds, sweeps and rows of a table. Reports ask the frozen encoder for the factors of
held-out scenes, whose objects no training scene has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modalities.audio import AudioFiles
from modalities.image import ImageFiles, ImagePatches
from modalities.points import PointFiles
from modalities.tabular import TableFiles
from modalities.video import VideoFiles
from modalities.voxels import SweepFiles, VoxelGrid
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import PerModality
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, LabelTable, Optim, Run, Stream
from omnimask.tokens.modality import Files, Modality
from recipes.sample_modalities import sample_modality
from recipes.small import content, masker

ROOT = "data/world"
FACTORS = "factors.parquet"
SENSES = ("image", "video", "audio", "points", "voxels", "table")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sense:
    """How a sense is read: views that leave the factors as they are, without mirroring and hardly
    cropped. `classes` and `numbers` are the factors that leave a trace in it.
    """

    modality: Modality
    folder: str
    batch_size: int
    classes: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def factors(self) -> tuple[str, ...]:
        return (*self.classes, *self.numbers)


_LOOKS = ("family", "pose", "material", "colour", "pattern", "num_objects", "wall", "floor")
_SENSES = {
    "image": Sense(
        modality=ImagePatches(size=(64, 64), patch=(8, 8)),
        folder="images",
        batch_size=32,
        classes=_LOOKS,
        numbers=(
            *("slender", "thick", "size_m", "camera_elevation_rad", "camera_distance_m"),
            *("light_azimuth_rad", "light_elevation_rad", "light_warmth"),
        ),
    ),
    "video": Sense(
        modality=sample_modality("video").small,
        folder="video",
        batch_size=8,
        classes=("motion", *_LOOKS),
        numbers=("tempo", "size_m", "camera_elevation_rad"),
    ),
    "audio": Sense(
        modality=sample_modality("audio").small,
        folder="audio",
        batch_size=16,
        classes=("motion", "material", "family"),
        numbers=("tempo", "size_m"),
    ),
    "points": Sense(
        modality=sample_modality("points").small,
        folder="points",
        batch_size=16,
        classes=("family", "pose", "num_objects"),
        numbers=("slender", "thick", "taper", "camera_elevation_rad"),
    ),
    "voxels": Sense(
        # Objects are a few metres large: with the small recipes' 2.5 m each would be one voxel.
        modality=VoxelGrid(
            voxel_size_m=(1.0, 1.0, 0.75),
            range_m=((-6.0, 6.0), (-6.0, 6.0), (-3.0, 3.0)),
            max_voxels=160,
            points_per_voxel=32,
            with_intensity=True,
        ),
        folder="voxels",
        batch_size=8,
        classes=("family", "pose", "num_objects", "clutter"),
        numbers=("size_m",),
    ),
    "table": Sense(
        modality=sample_modality("table").small,
        folder="tables",
        batch_size=48,
        classes=("family", "material", "colour", "motion"),
        numbers=("slender", "thick", "size_m", "tempo"),
    ),
}


def sense(name: str) -> Sense:
    return _SENSES[name]


def files(name: str, split: str) -> Files:
    """The files of a sense; `split` is "train" or "held_out"."""
    path = f"{_SENSES[name].folder}/{split}"
    return {
        "image": lambda: ImageFiles(path=path, crop_scale=(0.85, 1.0), flip=0.0),
        "video": lambda: VideoFiles(path=path, frame_stride=2, crop_scale=(0.85, 1.0)),
        "audio": lambda: AudioFiles(path=path),
        "points": lambda: PointFiles(path=path, rotate="none", scale=(0.9, 1.1), jitter=0.005),
        "voxels": lambda: SweepFiles(path=path, columns=("x", "y", "z", "intensity"), scale=None),
        "table": lambda: TableFiles(path=path, label_column="target"),
    }[name]()


def stream(name: str, *, batch_size: int | None = None) -> Stream:
    """The files of a sense, and the factors that its samples are asked for."""
    found = _SENSES[name]
    return Stream(
        name=name,
        files={name: files(name, "train")},
        held_out={name: files(name, "held_out")},
        batch_size=batch_size or found.batch_size,
        labels=LabelTable(table=FACTORS, classes=found.classes, numbers=found.numbers),
    )


def masked_autoencoder(name: str, senses: Sequence[str]) -> Recipe:
    """MAE on some senses at once, each at the ratio of its modality's own paper."""
    return Recipe(
        name=name,
        modalities=tuple(_SENSES[s].modality for s in senses),
        masker=PerModality(masks={s: masker(s) for s in senses}),
        encoder=Encoder(width=128, depth=4, num_heads=4),
        decoders={"main": SelfAttentionDecoder(width=64, depth=2, num_heads=4)},
        objectives=tuple(objective for s in senses for objective in content(s)),
        data=Data(root=ROOT, streams=tuple(stream(s) for s in senses)),
        optim=Optim(steps=400, lr=1.5e-3, warmup_steps=40),
        run=Run(num_workers=1, checkpoint_every=100),
    )


def quickstart() -> Recipe:
    """The main job of `make pretrain`: six senses of a world in minutes on two cores.

    Modalities: image, video, audio, points, voxels, table
    Paper: none; MAE (https://arxiv.org/abs/2111.06377) on every modality
    Status: runs; what its frozen features know of each factor is in its report
    """
    return masked_autoencoder("quickstart", SENSES)
