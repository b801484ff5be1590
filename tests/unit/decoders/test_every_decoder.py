"""What holds for every decoder, in a whole model over ragged rows, pairs and two masks each."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from omnimask.decoders import (
    BlockOutput,
    ClassTokenDecoder,
    ConvDecoder,
    CrossAttentionDecoder,
    Decoder,
    DepthDecoder,
    EarlyContextDecoder,
    LayerFusion,
    NoDecoder,
    ReplacedDecoder,
    SelfAttentionDecoder,
    SpanDecoder,
    WindowDecoder,
)
from omnimask.masking import Copies, JointBudget, RandomMask
from omnimask.masking.plan import MaskPlan
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group, Layout, Tokens, View
from omnimask.training.step import MaskedModel, build_model
from tests.sync_watch import SyncWatch
from tests.unit.toy_recipe import first_batch, loss_of, toy_recipe

SMALL = {"width": 8, "depth": 2, "num_heads": 2}
TWO = (-2, -1)
DECODERS: dict[str, tuple[str, Mapping[str, Decoder]]] = {
    "self": ("drop", {"main": SelfAttentionDecoder(**SMALL)}),
    "own": ("drop", {"main": SelfAttentionDecoder(**SMALL, visible="own")}),
    "places": (
        "drop",
        {"main": SelfAttentionDecoder(**SMALL, places_every_block=True, drop_path=0.2)},
    ),
    "own places": (
        "drop",
        {"main": SelfAttentionDecoder(**SMALL, visible="own", places_every_block=True)},
    ),
    "fusion": ("drop", {"main": SelfAttentionDecoder(**SMALL, reads=LayerFusion(layers_read=TWO))}),
    "two depths": (
        "drop",
        {
            "main": SelfAttentionDecoder(**SMALL),
            "second": SelfAttentionDecoder(**SMALL, reads=BlockOutput(layer=-2)),
        },
    ),
    "biased": (
        "drop",
        {"main": WindowDecoder(**SMALL, windows=(2, None), shift=True, relative_bias=True)},
    ),
    "replaced": ("replace", {"main": ReplacedDecoder(depth=1)}),
    "cross": ("drop", {"main": CrossAttentionDecoder(**SMALL)}),
    "depths": (
        "drop",
        {"main": DepthDecoder(width=8, num_heads=2, num_plain=1, layers_read=(-1, -2))},
    ),
    "conv": ("drop", {"main": ConvDecoder(width=8, depth=2, groups=2)}),
    "heads": ("drop", {"main": WindowDecoder(**SMALL, windows=(2, None), shift=False)}),
    "axes": ("drop", {"main": WindowDecoder(**SMALL, windows=((4,),), shift=True)}),
    "class": ("drop", {"main": ClassTokenDecoder()}),
    "class and mask tokens": ("replace", {"main": ClassTokenDecoder()}),
    "direct and early": ("replace", {"main": NoDecoder(), "second": EarlyContextDecoder(layer=-2)}),
    "spans": (
        "drop",
        {name: SpanDecoder(modality=name, **SMALL) for name in ("toy", "other")},
    ),
}


def recipe_with(hidden: str, decoders: Mapping[str, Decoder]) -> Recipe:
    """The toy recipe; each objective takes the decoder of its modality, or every one there is."""
    recipe = toy_recipe()
    objectives = tuple(
        replace(objective, name=f"{objective.name}_{name}", decoder=name)
        for objective in recipe.objectives
        for name in decoders
        if name in ("main", "second", objective.modality)
    )
    joint = "toy" in decoders
    masker = JointBudget(num_visible=4) if joint else RandomMask(ratio=0.5)
    return replace(
        recipe,
        hidden=hidden,
        decoders=decoders,
        objectives=objectives,
        masker=Copies(masker=masker, copies=2),
    )


@pytest.fixture(params=DECODERS)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return recipe_with(*DECODERS[request.param])


def tokens_of(model: MaskedModel, group: Group) -> dict[str, Tokens]:
    modalities = model.recipe.modalities
    return {m.name: m.split(group.raw[m.name]) for m in modalities if m.name in group.raw}


def decoded(
    model: MaskedModel, tokens: Mapping[str, Tokens], group: Group
) -> tuple[MaskPlan, dict[str, Tensor]]:
    """The rows of every decoder that decodes a modality of the group."""
    recipe, view = model.recipe, View(group=group, tokens=tokens, layout=Layout.of(tokens))
    (plan,) = model.masks(view, 0.0)
    rows: dict[str, Tensor] = {}
    for name, decoder in recipe.decoders.items():
        if name in model.modalities and name not in tokens:
            continue
        (encoded,) = model.backbone([(view, plan)], layers=decoder.layers(recipe.encoder))
        rows[name] = model.decoders[name](encoded)
    return plan, rows


def one_sample(group: Group, row: int) -> Group:
    raw = {
        name: {key: value[row : row + 1] for key, value in part.items()}
        for name, part in group.raw.items()
    }
    return replace(group, raw=raw, keys=group.keys[row : row + 1], names=group.names[row : row + 1])


def test_a_sample_is_decoded_alike_in_any_company(recipe: Recipe):
    model = build_model(recipe).eval()
    for group in first_batch(recipe):
        _, everyone = decoded(model, tokens_of(model, group), group)
        for row in range(len(group)):
            single = one_sample(group, row)
            plan, alone = decoded(model, tokens_of(model, single), single)
            ok = plan.predict_ok
            assert ok.shape[0] == 2
            for name, rows in alone.items():
                others = everyone[name][2 * row : 2 * row + 2, : ok.shape[1]]
                torch.testing.assert_close(rows[ok], others[ok], atol=1e-5, rtol=1e-5)


def test_values_of_hidden_tokens_never_matter(recipe: Recipe):
    model = build_model(recipe).eval()
    for group in first_batch(recipe):
        tokens = tokens_of(model, group)
        plan, before = decoded(model, tokens, group)
        shown = torch.zeros_like(Layout.of(tokens).valid, dtype=torch.long)
        for copy in range(2):  # a token that either mask shows stays as it is
            ids, ok = plan.visible_ids[copy::2], plan.visible_ok[copy::2]
            shown.scatter_add_(1, ids, ok.long())
        noisy = {
            span.modality: with_noise(tokens[span.modality], shown[:, span.start : span.stop] == 0)
            for span in Layout.of(tokens).spans
        }
        _, after = decoded(model, noisy, group)
        for name, rows in after.items():
            assert torch.equal(rows, before[name])


def with_noise(tokens: Tokens, where: Tensor) -> Tokens:
    noise = torch.randn_like(tokens.values) * where[:, :, None]
    return replace(tokens, values=tokens.values + noise)


def test_every_parameter_learns(recipe: Recipe):
    model = build_model(recipe)
    loss_of(model, model(first_batch(recipe)).sums).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_decoding_never_waits_for_the_device(recipe: Recipe):
    model, batch = build_model(recipe), first_batch(recipe)
    with SyncWatch() as watch:
        loss_of(model, model(batch).sums).backward()
    assert not watch.waits, watch.report()
