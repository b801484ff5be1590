"""ExpPoint-MAE: how to fine-tune a point encoder: frozen for four fifths of the run, then whole.

ExpPoint-MAE: Better Interpretability and Performance for Self-Supervised Point Cloud Transformers,
https://arxiv.org/abs/2306.10798; official code vvrpanda/ExpPoint-MAE. Pretraining is Point-MAE's
(recipes/pointmae.py); what is new is when the encoder begins to learn from labels: at epoch 240 of
300, all of it at once, so that the head has settled by then.

Deviations. The head is that of this library's classification, not PointNet's classifier; the task
and the schedule of the published size are those of Point-MAE's fine-tuning and are to be checked
with the paper.
"""

import sys
from dataclasses import replace

from modalities.points import PointFiles, PointGroups
from omnimask.commands.main import main
from omnimask.network.encoder import vit
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.transfer.finetuning.classification import Classification
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Freeze
from recipes import finetune, small
from recipes.published import steps_of

UNTIL = Freeze(until=240 / 300)
_MODELNET40 = 9_843  # training shapes


def points() -> FinetuneRecipe:
    """Shapes of the sample clouds, with an encoder as that of recipes.pointmae:cpu, in a minute.

    Command: omnimask finetune recipes.exppointmae:points --encoder runs/pointmae-cpu-points
    """
    encoder = replace(small.ENCODER, places_every_block=True)
    recipe = finetune.sample("points")
    return replace(recipe, name="exppointmae-points", encoder=encoder, frozen=UNTIL)


def modelnet() -> FinetuneRecipe:
    """ModelNet40's clouds in class folders `train/` and `test/`, 300 epochs, for one GPU.

    Result: see the paper's tables. Batch and rate are those of Point-MAE's fine-tuning
    (cfgs/finetune_modelnet.yaml).
    """
    batch = 32
    return FinetuneRecipe(
        name="exppointmae-modelnet40",
        modalities=(PointGroups(num_points=1024, num_groups=64, group_size=32),),
        data=Data(
            root="data/modelnet40",
            streams=(
                Stream(
                    name="points",
                    files={"points": PointFiles(path="train", rotate="none", up_axis="y")},
                    held_out={"points": PointFiles(path="test", up_axis="y")},
                    batch_size=batch,
                ),
            ),
        ),
        optim=Optim(
            steps=steps_of(epochs=300, samples=_MODELNET40, batch=batch),
            lr=5e-4,
            final_lr=1e-6,
            warmup_steps=steps_of(epochs=10, samples=_MODELNET40, batch=batch),
            weight_decay=0.05,
            betas=(0.9, 0.999),
            clip_norm=10.0,
        ),
        encoder=replace(vit("small"), class_token=False, places_every_block=True),
        task=Classification(smoothing=0.2),
        drop_path=0.1,
        frozen=UNTIL,
        run=Run(num_workers=8, checkpoint_every=2_000),
    )


if __name__ == "__main__":
    sys.exit(main(["finetune", "recipes.exppointmae:points", *sys.argv[1:]]))
