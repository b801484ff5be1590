"""A fine-tuning run on the world: its modalities, files and labels, for `tools/bench_world.py`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omnimask.sample_data.world.generate import FACTORS
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


def recipe_of(sense: str, root: Path, settings: Settings, out: Path) -> Any:
    """A fine-tuning run of all factors of a sense, with the encoder of `recipes.world`."""
    from omnimask.recipe.settings import Data, Optim, Run
    from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Labels, Validation
    from recipes.world import WORLD, masked_autoencoder, stream
    from tools.factor_task import Factors

    tables = {split: str((out / f"{split}.parquet").resolve()) for split in ("train", "held_out")}
    labelled = replace(stream(sense, batch_size=settings.batch_size), labels=None)
    return FinetuneRecipe(
        name=f"world-{sense}",
        modalities=(WORLD[sense].modality,),
        data=Data(root=str(root), streams=(labelled,)),
        optim=Optim(steps=1, lr=settings.lr, weight_decay=0.05, betas=(0.9, 0.999)),
        encoder=masked_autoencoder(sense, (sense,)).encoder,
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
