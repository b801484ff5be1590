"""A recipe over two toy modalities, alone and paired, with ragged rows: what core tests run."""

from dataclasses import replace

import torch

from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.decoders import CrossAttentionDecoder, SelfAttentionDecoder
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import LossSum, Objective, Outcome, mse
from omnimask.objectives.targets import Content, TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.recipe.teacher import Teacher
from omnimask.tokens.tokens import Group
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel
from tests.unit.toy import Toy, ToyFiles

TOYS = (Toy(), Toy(name="other", num_tokens=6, num_values=3))


def streams(batch_size: int = 4) -> tuple[Stream, ...]:
    files, held_out = ToyFiles(), ToyFiles(path="held_out", num_samples=12)
    return (
        Stream(name="toy", files={"toy": files}, held_out={"toy": held_out}, batch_size=batch_size),
        Stream(
            name="other",
            files={"other": files},
            held_out={"other": held_out},
            batch_size=batch_size,
        ),
        Stream(
            name="both",
            files={"toy": files, "other": files},
            held_out={"toy": held_out, "other": held_out},
            batch_size=batch_size,
        ),
    )


def toy_recipe() -> Recipe:
    content = tuple(
        Objective(name=f"{toy.name}_content", modality=toy.name, target=Content(), loss=mse)
        for toy in TOYS
    )
    return Recipe(
        name="toy",
        modalities=TOYS,
        masker=RandomMask(ratio=0.5),
        encoder=Encoder(width=16, depth=2, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=8, depth=1, num_heads=2)},
        objectives=content,
        data=Data(root=".", streams=streams()),
        optim=Optim(steps=8, lr=1e-2, warmup_steps=2),
        run=Run(num_workers=0, log_every=1, checkpoint_every=3, tracker="none", report=False),
    )


def with_teacher() -> Recipe:
    """The same with a teacher, a second decoder that mixes layers, and dropped branches."""
    recipe = toy_recipe()
    features = tuple(
        Objective(
            name=f"{toy.name}_features",
            modality=toy.name,
            target=TeacherFeatures(layers=(-1, -2), norm="instance"),
            loss=mse,
            decoder="cross",
        )
        for toy in TOYS
    )
    return replace(
        recipe,
        encoder=replace(recipe.encoder, drop_path=0.3, positions="both", num_registers=2),
        decoders={
            **recipe.decoders,
            "cross": CrossAttentionDecoder(width=8, depth=2, num_heads=2, mix_layers=True),
        },
        objectives=(*recipe.objectives, *features),
        teacher=Teacher(decay=0.9, final_decay=0.99),
    )


def first_batch(recipe: Recipe) -> tuple[Group, ...]:
    """The groups of step 0."""
    return Steps(recipe, open_streams(recipe), Shard())[0].micro[0]


def fitted(recipe: Recipe) -> Recipe:
    return fit(recipe)


def loss_of(model: MaskedModel, sums: dict[str, LossSum]) -> torch.Tensor:
    weights = {objective.name: objective.weight for objective in model.recipe.objectives}
    return Outcome(sums=sums).loss(weights)
