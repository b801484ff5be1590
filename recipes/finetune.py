"""Fine-tuning on the sample data, one recipe per modality; a start for one's own folders.

`omnimask finetune recipes.finetune:image --encoder runs/quickstart`. With other data, point
`--set data.root=...` at a folder that has the same folders in it, or copy a function. What differs
between modalities stands in recipes/sample_modalities.py; one without a function here is
`recipes.finetune:sample:NAME`.
"""

import sys
from dataclasses import replace

from omnimask.commands.main import main
from omnimask.network.encoder import Encoder
from omnimask.recipe.settings import Data, Optim, Run
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Validation
from recipes import small
from recipes.sample_modalities import sample_modality
from recipes.small import ROOT, stream

MODALITIES = small.MODALITIES

# Without --encoder: that of recipes.omni:quickstart, from scratch.
ENCODER = Encoder(width=192, depth=5, num_heads=6)


def sample(modality: str = "image") -> FinetuneRecipe:
    """Classes of the sample data of one modality (the argument). In so short a run the head sees
    next to nothing of features whose variance lies in a few directions, unless it standardises them
    (`head_norm`).
    """
    chosen = sample_modality(modality).finetuning
    steps = chosen.steps
    return FinetuneRecipe(
        name=f"finetune-{modality}",
        modalities=(small.modality(modality),),
        data=Data(root=ROOT, streams=(stream(modality, batch_size=chosen.batch_size),)),
        optim=Optim(
            steps=steps,
            lr=chosen.lr,
            warmup_steps=steps // 10,
            weight_decay=0.05,
            betas=(0.9, 0.999),
        ),
        encoder=ENCODER,
        task=chosen.task,
        head_norm="batch",
        drop_path=chosen.drop_path,
        show=chosen.show,
        validation=Validation(every=steps // 5),
        run=Run(num_workers=1, checkpoint_every=100),
    )


def image() -> FinetuneRecipe:
    """Classes of the sample images, without smoothing and mixing, which pay in longer runs alone.
    There, as in MAE's fine-tuning (https://arxiv.org/abs/2111.06377, appendix A.1, table 9;
    FINETUNE.md of the official code): `--set mix.mixup=0.8 --set mix.cutmix=1.0 --set
    task.smoothing=0.1 --set drop_path=0.1`.
    """
    return sample("image")


def video() -> FinetuneRecipe:
    """Motions of the sample clips. No mixing: half of one motion is none."""
    return sample("video")


def audio() -> FinetuneRecipe:
    """Classes of the sample sounds; a fifth of the moments is hidden in training. AudioMAE's
    fine-tuning on AudioSet (https://arxiv.org/abs/2207.06405; README.md and models_vit.py of the
    official code) hides as many moments, and a fifth of the frequencies too.
    """
    return sample("audio")


def points() -> FinetuneRecipe:
    """Shapes of the sample clouds."""
    return sample("points")


def voxels() -> FinetuneRecipe:
    """Scenes of the sample sweeps. Few samples: the classes weigh alike."""
    return sample("voxels")


def table() -> FinetuneRecipe:
    """Classes of the rows of the sample tables; the one table whose target is a number is left
    out, since its rows have no class.
    """
    return sample("table")


def debug() -> FinetuneRecipe:
    """Sample images, two blocks and four steps: what the tests run."""
    recipe = image()
    return replace(
        recipe,
        name="finetune-debug",
        encoder=Encoder(width=48, depth=2, num_heads=2),
        data=replace(recipe.data, streams=(stream("image", batch_size=4),)),
        optim=Optim(steps=4, lr=1e-3, warmup_steps=1),
        validation=Validation(),
        run=Run(num_workers=0, log_every=1, checkpoint_every=2, tracker="none", report=False),
    )


if __name__ == "__main__":
    sys.exit(main(["finetune", "recipes.finetune:image", *sys.argv[1:]]))
