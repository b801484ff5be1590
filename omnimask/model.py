"""One step: tokens, targets, masks, encode, decode, losses. Nothing here knows a modality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.backbone import Backbone, Encoded, EncodeItem
from omnimask.batch import Group
from omnimask.blocks import initialise
from omnimask.masking.full import full_plan
from omnimask.masking.plan import MaskPlan
from omnimask.modality import Modality
from omnimask.objective import (
    LossSum,
    Objective,
    count_tokens,
    evaluate_objective,
    find_span,
)
from omnimask.packing import unpack
from omnimask.recipe import Recipe
from omnimask.targets import Truth, View
from omnimask.teacher import copy_as_teacher
from omnimask.tokens import Layout, Tokens, layout_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupView:
    """One group as tokens: what targets and masks are made from."""

    group: Group
    tokens: Mapping[str, Tokens]
    layout: Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Masked:
    """One group under one of its mask plans, encoded."""

    view: GroupView
    plan: MaskPlan
    encoded: Encoded
    number: int  # the view's place in the batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Per objective, the sum of its per-token losses and their count; and how many tokens went
    through the encoder. Reducing over ranks and micro-batches is the trainer's part.
    """

    sums: dict[str, LossSum]
    num_tokens: int


class MaskedModel(nn.Module):
    """Everything with weights that a recipe names, and the step that runs them."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.modalities = {modality.name: modality for modality in recipe.modalities}
        self.objectives = {objective.name: objective for objective in recipe.objectives}
        encoder = recipe.encoder
        self.backbone = Backbone(recipe.modalities, encoder, mask_token=recipe.hidden == "replace")
        self.decoders = nn.ModuleDict(
            {
                name: decoder.build(_modalities_reaching(recipe, name), encoder)
                for name, decoder in recipe.decoders.items()
            }
        )
        self.heads = nn.ModuleDict(
            {
                objective.name: _head(
                    recipe.decoders[objective.decoder].output_width(encoder),
                    objective.target.num_predicted(
                        self.modalities[objective.modality], encoder.width
                    ),
                )
                for objective in recipe.objectives
            }
        )
        self.teacher = copy_as_teacher(self.backbone) if recipe.teacher else None
        self.layers = tuple(
            dict.fromkeys(layer for d in recipe.decoders.values() for layer in d.layers(encoder))
        )

    def train(self, mode: bool = True) -> "MaskedModel":
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: Sequence[Group], progress: float = 0.0) -> Outcome:
        views = [self.view(group) for group in batch]
        truths = self.truths(views)
        masked = self.encode(views, progress=progress)
        sums: dict[str, LossSum] = {}
        for item in masked:
            for name, predicted in self.predictions(item).items():
                part = evaluate_objective(
                    self.objectives[name],
                    predicted,
                    truths[item.number][name],
                    layout=item.view.layout,
                    plan=item.plan,
                )
                sums[name] = sums[name] + part if name in sums else part
        return Outcome(
            sums={name: sums[name] for name in self.objectives if name in sums},
            num_tokens=sum(
                sum(item.encoded.num_visible) + sum(item.encoded.num_predict) for item in masked
            ),
        )

    @torch.no_grad()
    def counts(self, batch: Sequence[Group], progress: float) -> dict[str, Tensor]:
        """The counts that `forward` will return, without encoding anything."""
        views = [self.view(group) for group in batch]
        counts: dict[str, Tensor] = {}
        for view, truths in zip(views, self.truths(views), strict=True):
            for plan in self.masks(view, progress):
                for name, truth in truths.items():
                    count = count_tokens(
                        self.objectives[name], truth, layout=view.layout, plan=plan
                    )
                    counts[name] = counts[name] + count if name in counts else count
        return counts

    def masks(self, view: GroupView, progress: float) -> list[MaskPlan]:
        """The masks of one group: a pure function of its samples' keys."""
        return self.recipe.masker(view.layout, view.group.rng.child("mask"), None, progress)

    def view(self, group: Group) -> GroupView:
        """The group's modalities as tokens, in the recipe's order."""
        tokens = {
            name: modality.split(group.raw[name])
            for name, modality in self.modalities.items()
            if name in group.raw
        }
        return GroupView(group=group, tokens=tokens, layout=layout_of(tokens))

    @torch.no_grad()
    def truths(self, views: Sequence[GroupView]) -> list[dict[str, Truth]]:
        """Per view, each objective's target for every token, from the unmasked view."""
        layers = self._teacher_layers()
        features = self.features(views, layers=layers) if layers else [{} for _ in views]
        return [
            {
                objective.name: self._truth(objective, view, feature)
                for objective in self.recipe.objectives
                if objective.modality in view.tokens
            }
            for view, feature in zip(views, features, strict=True)
        ]

    def _truth(
        self, objective: Objective, view: GroupView, features: Mapping[int, Tensor]
    ) -> Truth:
        span = find_span(view.layout, objective.modality)
        assert span is not None, "asked only for modalities of the view"
        teacher = tuple(
            features[layer][:, span.start : span.stop] for layer in objective.target.teacher_layers
        )
        with torch.autocast(view.layout.valid.device.type, enabled=False):
            return objective.target(
                View(
                    modality=self.modalities[objective.modality],
                    tokens=view.tokens[objective.modality],
                    teacher=teacher,
                )
            )

    def _teacher_layers(self) -> tuple[int, ...]:
        layers = (n for o in self.recipe.objectives for n in o.target.teacher_layers)
        return tuple(dict.fromkeys(layers))

    def features(
        self, views: Sequence[GroupView], *, layers: Sequence[int]
    ) -> list[dict[int, Float[Tensor, "b n d"]]]:
        """The teacher's block outputs for every token of every view, zero at invalid ones."""
        assert self.teacher is not None, "Recipe.validate wants a teacher for such targets"
        plans = [full_plan(view.layout) for view in views]
        items = [
            EncodeItem(tokens=view.tokens, layout=view.layout, plan=plan)
            for view, plan in zip(views, plans, strict=True)
        ]
        return [
            {
                layer: _scatter(packed, item.plan, num_tokens=item.layout.valid.shape[1])
                for layer, packed in zip(layers, encoded.visible[1:], strict=True)
            }
            for item, encoded in zip(items, self.teacher(items, layers=layers), strict=True)
        ]

    def encode(
        self,
        views: Sequence[GroupView],
        *,
        progress: float,
        plans: Sequence[Sequence[MaskPlan]] = (),
    ) -> list[Masked]:
        """Draws masks (unless given, one list per view) and encodes all views together."""
        drawn = plans or [self.masks(view, progress) for view in views]
        places = [(n, plan) for n, view_plans in enumerate(drawn) for plan in view_plans]
        items = [
            EncodeItem(
                tokens=views[n].tokens,
                layout=views[n].layout,
                plan=plan,
                rng=views[n].group.rng.child("encoder").repeat(plan.copies),
                mask_tokens=self.recipe.hidden == "replace",
            )
            for n, plan in places
        ]
        encoded = self.backbone(items, layers=self.layers)
        return [
            Masked(view=views[n], plan=plan, encoded=result, number=n)
            for (n, plan), result in zip(places, encoded, strict=True)
        ]

    def predictions(self, item: Masked) -> dict[str, Float[Tensor, "r n p"]]:
        """Each objective's prediction at the plan's predicted ids, for the view's modalities."""
        objectives = [o for o in self.objectives.values() if o.modality in item.view.tokens]
        decoded: dict[str, Tensor] = {}
        for name in dict.fromkeys(objective.decoder for objective in objectives):
            encoded = self._with_layers(item.encoded, name)
            decoded[name] = self.decoders[name](encoded, item.view.layout, item.plan)
        return {o.name: self.heads[o.name](decoded[o.decoder]) for o in objectives}

    def _with_layers(self, encoded: Encoded, decoder: str) -> Encoded:
        """`encoded` with just the layers that this decoder reads."""
        layers = self.recipe.decoders[decoder].layers(self.recipe.encoder)
        if layers == self.layers:
            return encoded
        keep = [0, *(1 + self.layers.index(layer) for layer in layers)]
        return encoded.keep(keep)


def build_model(recipe: Recipe) -> MaskedModel:
    """The model with weights that depend on `recipe.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return MaskedModel(recipe)


def _modalities_reaching(recipe: Recipe, decoder: str) -> tuple[Modality, ...]:
    """The modalities whose tokens a decoder meets: those it predicts, and their groups' others.

    A decoder with parameters for a modality that never reaches it would leave them unused.
    """
    predicted = {o.modality for o in recipe.objectives if o.decoder == decoder}
    reaching = {
        name
        for stream in recipe.data.streams
        if predicted & set(stream.files)
        for name in stream.files
    }
    return tuple(modality for modality in recipe.modalities if modality.name in reaching)


def _head(width: int, num_predicted: int) -> nn.Linear:
    head = nn.Linear(width, num_predicted)
    initialise(head)
    return head


def _scatter(
    packed: Float[Tensor, "t d"], plan: MaskPlan, *, num_tokens: int
) -> Float[Tensor, "b n d"]:
    """Packed visible tokens back at their places in the (b n) sequence."""
    rows = unpack(packed, plan.num_visible, width=plan.visible_ids.shape[1])
    placed = rows.new_zeros(rows.shape[0], num_tokens, rows.shape[2])
    ids = plan.visible_ids[:, :, None].expand_as(rows)
    # Padded ids are 0 and their rows are zero, so adding leaves token 0 as it is.
    return placed.scatter_add_(1, ids, rows)
