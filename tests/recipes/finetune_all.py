"""Fine-tunes in several processes; run by torchrun.

Arguments: data root, output folder. One start of two processes serves all cases.
"""

import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

import recipes.finetune
import recipes.segmentation
from omnimask.network.encoder import Encoder
from omnimask.recipe.settings import Optim, Run
from omnimask.training.loop import carry_out
from omnimask.transfer.finetuning.classification import Classification
from omnimask.transfer.finetuning.job import FineTuning
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Mix, Validation
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.finetuning.tasks import Task

CASES = ("image", "probed", "voxels", "segmentation", "parts")


def case(name: str, root: Path) -> FinetuneRecipe:
    """Four steps of a small encoder, with an average of the weights and a look at the score."""
    recipe = {
        "image": recipes.finetune.image,
        "probed": _image_from_probe,
        "voxels": recipes.finetune.voxels,
        "segmentation": recipes.segmentation.image,
        "parts": recipes.segmentation.points,
    }[name]()
    (stream,) = recipe.data.streams
    return replace(
        recipe,
        # Mixing pairs the samples of one process, so that it is about the batch.
        mix=Mix(),
        encoder=Encoder(width=48, depth=2, num_heads=2),
        data=replace(recipe.data, root=str(root), streams=(replace(stream, batch_size=4),)),
        task=_balanced(recipe.task),
        optim=Optim(steps=4, lr=1e-3, warmup_steps=1),
        ema_decay=0.9,
        validation=Validation(share=0.2, every=2, patience=5),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )


def _image_from_probe() -> FinetuneRecipe:
    return replace(recipes.finetune.image(), head_norm="probe")


def _balanced(task: Task) -> Task:
    if isinstance(task, Segmentation):  # of an encoder of two blocks
        task = replace(task, head=replace(task.head, layers=(-1, -2)))
    if isinstance(task, Classification):  # of few samples
        return replace(task, weights="balanced", min_samples=1)
    assert isinstance(task, Segmentation)
    return replace(task, weights="balanced")


def main(root: Path, out: Path) -> None:
    # The end of a run ends the process group too; here the next case goes on with it.
    Accelerator.end_training = lambda self: None
    for name in CASES:
        carry_out(FineTuning(recipe=case(name, root)), out / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
