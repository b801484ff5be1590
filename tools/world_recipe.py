"""A fine-tuning run on the world: its modalities, files and labels, for `tools/bench_world.py`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.sample_data.world.generate import FACTORS
from omnimask.sample_data.world.layout import FOLDERS
from omnimask.sample_data.world.seen import CLASS_FACTORS, SEEN


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How much is read and trained. `passes`: of the supervised run over the training scenes."""

    max_train: int = 10_000
    max_test: int = 2_000
    passes: int = 12
    batch_size: int = 32
    lr: float = 1e-3
    random_seeds: tuple[int, ...] = (1000,)


def modality_of(sense: str) -> Any:
    """As in the small recipes, but for sweeps: objects are a few metres large, rooms a few tens."""
    from modalities.voxels import VoxelGrid
    from recipes.sample_modalities import sample_modality

    if sense != "voxels":
        return sample_modality(sense).small
    return VoxelGrid(
        voxel_size_m=(1.0, 1.0, 0.75),
        range_m=((-6.0, 6.0), (-6.0, 6.0), (-3.0, 3.0)),
        max_voxels=160,
        points_per_voxel=32,
        with_intensity=True,
    )


def files_of(sense: str, split: str) -> Any:
    """Views that leave the factors as they are: no mirror, no stretch, hardly a crop."""
    from modalities.audio import AudioFiles
    from modalities.image import ImageFiles
    from modalities.points import PointFiles
    from modalities.tabular import TableFiles
    from modalities.video import VideoFiles
    from modalities.voxels import SweepFiles

    path = f"{FOLDERS[sense]}/{split}"
    return {
        "image": lambda: ImageFiles(path=path, crop_scale=(0.85, 1.0), flip=0.0),
        "video": lambda: VideoFiles(path=path, frame_stride=2, crop_scale=(0.85, 1.0)),
        "audio": lambda: AudioFiles(path=path),
        "points": lambda: PointFiles(path=path, rotate="none", scale=(0.9, 1.1), jitter=0.005),
        "voxels": lambda: SweepFiles(path=path, columns=("x", "y", "z", "intensity"), scale=None),
        "table": lambda: TableFiles(path=path, label_column="target"),
    }[sense]()


def recipe_of(sense: str, root: Path, settings: Settings, out: Path) -> Any:
    """A fine-tuning run of all factors of a sense, with the encoder of the small recipes."""
    from omnimask.recipe.settings import Data, Optim, Run, Stream
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Labels, Validation
    from recipes.small import ENCODER
    from tools.factor_task import Factors

    stream = Stream(
        name=sense,
        files={sense: files_of(sense, "train")},
        held_out={sense: files_of(sense, "held_out")},
        batch_size=settings.batch_size,
    )
    tables = {split: str((out / f"{split}.parquet").resolve()) for split in ("train", "held_out")}
    return FinetuneRecipe(
        name=f"world-{sense}",
        modalities=(modality_of(sense),),
        data=Data(root=str(root), streams=(stream,)),
        optim=Optim(steps=1, lr=settings.lr, weight_decay=0.05, betas=(0.9, 0.999)),
        encoder=ENCODER,
        task=Factors(classes=CLASS_FACTORS),
        labels=Labels(
            table=tables["train"], held_out_table=tables["held_out"], columns=SEEN[sense]
        ),
        head_norm="batch",
        layer_decay=1.0,
        validation=Validation(share=0.0, every=0),
        run=Run(num_workers=0, checkpoint_every=10**9, tracker="none", report=False, log_every=20),
    )


def write_labels(sense: str, root: Path, settings: Settings, out: Path) -> None:
    """The factors of the scenes to be used, by split: the first ones that the sense has seen."""
    import pandas as pd

    from omnimask.sample_data.world.layout import senses_of

    factors: Any = pd.read_parquet(root / FACTORS)
    seen = factors[[sense in senses_of(number) for number in factors["scene"]]]
    for split, most in (("train", settings.max_train), ("held_out", settings.max_test)):
        part = seen[seen["split"] == split].head(most)
        out.mkdir(parents=True, exist_ok=True)
        part.to_parquet(out / f"{split}.parquet", index=False)
