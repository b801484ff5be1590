"""Our step on a batch, and what another implementation must be told to take the same step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from omnimask.decoders import Decoder
from omnimask.masking.plan import Masker, MaskPlan
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Loss, Objective
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Stream
from omnimask.tokens.modality import Files, Modality
from omnimask.tokens.tokens import Group, View
from omnimask.training.step import MaskedModel

WIDTH, DEPTH, NUM_HEADS = 32, 2, 4
DECODER_WIDTH, DECODER_DEPTH, DECODER_NUM_HEADS = 24, 2, 2

# ImageNet's, which transformers' VideoMAE has written into its loss.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """What differs between the methods that are compared."""

    masker: Masker
    decoder: Decoder
    target: Content
    loss: Loss


def recipe_of(modality: Modality, files: Files, method: Method) -> Recipe:
    """A small recipe; `files` are never opened. Hidden is what the decoder needs."""
    return Recipe(
        name="parity",
        modalities=(modality,),
        masker=method.masker,
        encoder=Encoder(
            width=WIDTH,
            depth=DEPTH,
            num_heads=NUM_HEADS,
            class_token=modality.name == "image",
        ),
        decoders={"main": method.decoder},
        objectives=(
            Objective(
                name="pixels", modality=modality.name, target=method.target, loss=method.loss
            ),
        ),
        data=Data(root=".", streams=(Stream(name="main", files={modality.name: files}),)),
        optim=Optim(steps=1),
        hidden="replace" if method.decoder.hidden == "replace" else "drop",
    )


def random_pixels(*shape: int, seed: int) -> Tensor:
    """uint8, (b c h w) or (b t c h w)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def normalised(pixels: Tensor) -> Tensor:
    """As transformers' image processors do it."""
    mean, std = (torch.tensor(part)[:, None, None] for part in (MEAN, STD))
    return (pixels / 255 - mean) / std


def batch_of(modality: Modality, entry: str, pixels: Tensor, *, seed: int) -> Group:
    raw = modality.collate([{entry: sample} for sample in pixels])
    keys = torch.arange(len(pixels)) + 1000 * seed
    names = tuple(f"sample {n}" for n in range(len(pixels)))
    return Group(stream="main", raw={modality.name: raw}, keys=keys, names=names)


def look(model: MaskedModel, batch: Group) -> tuple[View, MaskPlan]:
    """The tokens and the masks of the step that `loss_of` takes."""
    (view,) = model.views([batch])
    (plan,) = model.masks(view, 0.0)
    return view, plan


def hidden_tokens(view: View, plan: MaskPlan) -> Tensor:
    """(r n); True where a token is hidden. Every row hides equally many."""
    hidden = torch.ones(len(plan.num_visible), view.layout.valid.shape[1], dtype=torch.bool)
    return hidden.scatter(1, plan.visible_ids, torch.zeros_like(plan.visible_ok))


def loss_of(model: MaskedModel, batch: Group) -> Tensor:
    outcome = model([batch])
    assert len(outcome.sums) == 1
    return outcome.loss({})


def place_table(model: MaskedModel, view: View, *, owner: str, dim: int) -> Tensor:
    """(n d), what we add to a token for its place: position embedding plus modality vector.

    `owner`: the part of the model, "backbone" or a decoder.
    """
    (span,) = view.layout.spans
    position: nn.Module = model.modalities[span.modality].position(dim)
    vector = dict(model.named_parameters())[f"{owner}.places.modalities.{span.modality}"]
    return (position(span.coords[0]) + vector).detach()
