"""The modalities of the sample data: one record for each, from which every list of them follows.

The small sizes of all methods, `recipes.omni`, `recipes.finetune`, the benchmarks and the tests
take what they need from here. A new one is one more record, and one file in
`omnimask/sample_data/`, called like its `folder`, that makes its samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from modalities.audio import AudioFiles, AudioSpectrogram
from modalities.image import ImageFiles, ImagePatches
from modalities.points import GroupPoints, PointFiles, PointGroups, chamfer_l2
from modalities.series import SeriesFiles, SeriesPatches
from modalities.tabular import Cells, TableCells, TableFiles, cell_loss
from modalities.video import VideoFiles, VideoTubelets
from modalities.volume import VolumeFiles, VolumePatches
from modalities.voxels import (
    SweepFiles,
    VoxelCount,
    VoxelGrid,
    VoxelOccupied,
    VoxelPoints,
    masked_chamfer,
)
from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.masking import AxisMask, RandomMask, TubeMask
from omnimask.masking.plan import Masker
from omnimask.objectives.objective import Loss, bce, mse, smooth_l1
from omnimask.objectives.targets import Content, Target
from omnimask.tokens.modality import Files, Modality
from omnimask.transfer.finetuning.classification import Classification


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetuning:
    """What `recipes.finetune` does on two CPU cores in a minute or two; `show` as in a recipe."""

    steps: int
    batch_size: int
    lr: float = 2e-3
    drop_path: float = 0.1
    task: Classification = field(default_factory=lambda: Classification(smoothing=0.1))
    show: Masker | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleModality:
    """`small` is of a size at which two CPU cores make hundreds of steps in minutes, `published`
    that of its own paper. Both have the same name, by which the modality goes everywhere.

    `folder` is its part of the sample data, with `train` and `held_out` in it; `files` reads such a
    path. `masker` is that of its own paper. `content` is the reconstruction of its own content as
    that paper does it: of each objective what, target and loss. `benchmark_tokens` go through the
    encoder in a run of `tools/bench_methods.py`: what a fraction of a minute of one core affords.
    `mixed`: whether `recipes.omni` has it among its modalities.
    """

    small: Modality
    published: Modality
    folder: str
    files: Callable[[str], Files]
    masker: RandomMask | TubeMask
    content: tuple[tuple[str, Target, Loss], ...]
    batch_size: int
    published_batch_size: int
    finetuning: Finetuning
    benchmark_tokens: int
    mixed: bool = True

    @property
    def name(self) -> str:
        return self.small.name


_RECORDS = (
    SampleModality(
        small=ImagePatches(size=(32, 32), patch=(4, 4)),
        published=ImagePatches(size=(224, 224), patch=(16, 16)),
        folder="images",
        files=lambda path: ImageFiles(path=path, crop_scale=(0.6, 1.0), flip=0.0),
        masker=RandomMask(ratio=0.75),  # MAE, 2111.06377
        content=(("pixels", Content(norm="token"), mse),),
        batch_size=24,
        published_batch_size=64,
        finetuning=Finetuning(
            steps=200, batch_size=24, lr=3e-3, drop_path=0.0, task=Classification()
        ),
        benchmark_tokens=80_000,
    ),
    SampleModality(
        small=VideoTubelets(num_frames=8, size=(48, 48), tubelet=(2, 8, 8)),
        published=VideoTubelets(num_frames=16, size=(224, 224), tubelet=(2, 16, 16)),
        folder="video",
        files=lambda path: VideoFiles(path=path, frame_stride=2),
        masker=TubeMask(ratio=0.9),  # VideoMAE, 2203.12602
        content=(("pixels", Content(norm="token"), mse),),
        batch_size=4,
        published_batch_size=16,
        finetuning=Finetuning(steps=100, batch_size=8),
        benchmark_tokens=24_000,
    ),
    SampleModality(
        small=AudioSpectrogram(window_s=1.28, num_mels=64, patch=(16, 8)),
        published=AudioSpectrogram(window_s=10.24, num_mels=128, patch=(16, 16)),
        folder="audio",
        files=lambda path: AudioFiles(path=path),
        masker=RandomMask(ratio=0.8),  # AudioMAE, 2207.06405
        content=(("logmel", Content(), mse),),
        batch_size=8,
        published_batch_size=16,
        finetuning=Finetuning(steps=120, batch_size=12, show=AxisMask(ratio=0.2, axis="t")),
        benchmark_tokens=32_000,
    ),
    SampleModality(
        small=PointGroups(num_points=512, num_groups=32, group_size=32),
        published=PointGroups(num_points=1024, num_groups=64, group_size=32),
        folder="points",
        files=lambda path: PointFiles(path=path),
        masker=RandomMask(ratio=0.6),  # Point-MAE, 2203.06604
        # The typical distance from a group's centre is the unit: losses are then of order one.
        content=(("groups", GroupPoints(unit=0.15), chamfer_l2),),
        batch_size=8,
        published_batch_size=64,
        finetuning=Finetuning(steps=120, batch_size=12),
        benchmark_tokens=40_000,
    ),
    SampleModality(
        small=VoxelGrid(
            voxel_size_m=(2.5, 2.5, 1.5),
            range_m=((-20.0, 20.0), (-20.0, 20.0), (-3.0, 3.0)),
            max_voxels=96,
            points_per_voxel=16,
        ),
        published=VoxelGrid(),
        folder="voxels",
        files=lambda path: SweepFiles(path=path),
        masker=RandomMask(ratio=0.7),  # Voxel-MAE, 2207.00531
        content=(
            ("points", VoxelPoints(), masked_chamfer),
            ("count", VoxelCount(), smooth_l1),
            ("occupied", VoxelOccupied(), bce),
        ),
        batch_size=6,
        published_batch_size=16,
        finetuning=Finetuning(
            steps=100, batch_size=8, task=Classification(smoothing=0.1, weights="balanced")
        ),
        benchmark_tokens=32_000,
    ),
    SampleModality(
        small=TableCells(),
        published=TableCells(),
        folder="tables",
        files=lambda path: TableFiles(path=path, label_column="target"),
        masker=RandomMask(ratio=0.5),  # ReMasker, 2309.13793
        content=(("cells", Cells(), cell_loss),),
        batch_size=24,
        published_batch_size=256,
        finetuning=Finetuning(steps=150, batch_size=32),
        benchmark_tokens=80_000,
    ),
    SampleModality(
        small=VolumePatches(
            size=(32, 32, 32), patch=(8, 8, 8), window=(-175.0, 250.0), spacing_mm=(4.0, 4.0, 4.0)
        ),
        published=VolumePatches(window=(-175.0, 250.0), spacing_mm=(1.5, 1.5, 1.5)),
        folder="volumes",
        files=lambda path: VolumeFiles(path=path),
        masker=RandomMask(ratio=0.75),  # Hi-End-MAE, 2502.08347
        content=(("intensities", Content(norm="token"), mse),),
        batch_size=8,
        published_batch_size=16,
        finetuning=Finetuning(steps=120, batch_size=12),
        benchmark_tokens=40_000,
        mixed=False,
    ),
    SampleModality(
        small=SeriesPatches(
            name="skeleton", num_steps=64, num_joints=15, num_channels=3, patch=8, rate_hz=30.0
        ),
        published=SeriesPatches(
            name="skeleton", num_steps=120, num_joints=25, num_channels=3, patch=4
        ),
        folder="skeletons",
        files=lambda path: SeriesFiles(path=path, rate_hz=30.0, origin=0),
        masker=RandomMask(ratio=0.9),  # MAMP, 2308.07092
        content=(("coordinates", Content(norm="token"), mse),),
        batch_size=8,
        published_batch_size=128,
        finetuning=Finetuning(steps=120, batch_size=16),
        benchmark_tokens=40_000,
        mixed=False,
    ),
)
SAMPLE_MODALITIES = {record.name: record for record in _RECORDS}


def mixed_modalities() -> dict[str, SampleModality]:
    """Those that `recipes.omni` trains together."""
    return {name: record for name, record in SAMPLE_MODALITIES.items() if record.mixed}


def sample_modality(name: str) -> SampleModality:
    """RecipeError for a name that the sample data do not have."""
    if name not in SAMPLE_MODALITIES:
        raise RecipeError(
            f"the sample data have no modality {name!r}; {nearest_names(name, SAMPLE_MODALITIES)}"
        )
    return SAMPLE_MODALITIES[name]
