"""Recipes for the modality example."""

from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.templates.modality import ExampleFiles, ExampleTokens


def mine() -> Recipe:
    """Half of every series from its other half, in seconds on a CPU.

    Modalities: example
    Paper: none
    Status: works; not tuned
    """
    return Recipe(
        name="example",
        modalities=(ExampleTokens(),),
        masker=RandomMask(ratio=0.5),
        encoder=Encoder(width=48, depth=2, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=32, depth=1, num_heads=2)},
        objectives=(
            Objective(name="example_content", modality="example", target=Content(), loss=mse),
        ),
        data=Data(
            root="data",
            streams=(Stream(name="example", files={"example": ExampleFiles(path="train")}),),
        ),
        optim=Optim(steps=300, lr=1e-3, warmup_steps=30),
        run=Run(num_workers=0, checkpoint_every=100),
    )
