"""One step: tokens, targets, masks, encode, decode, losses. Nothing here knows a modality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.masking.plan import MaskPlan
from omnimask.network.backbone import Backbone, Encoded, EncodeItem
from omnimask.network.blocks import initialise
from omnimask.objectives.group_view import GroupView, split_group
from omnimask.objectives.late_targets import Decoded, LateTarget
from omnimask.objectives.objective import (
    LossSum,
    Objective,
    align,
    align_late,
    find_span,
    sum_losses,
    token_losses,
)
from omnimask.objectives.targets import Target, TrainedTarget, Truth, View
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.group import Group
from omnimask.training.health import measure_health
from omnimask.training.teacher_network import build_teacher


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
    through the encoder. A part with a loss of its own (a codebook, prototypes) stands among the
    sums as "own/<name>". `health` has scalars to watch, if they were asked for. Reducing over ranks
    and micro-batches is the trainer's part.
    """

    sums: dict[str, LossSum]
    num_tokens: int
    health: dict[str, Tensor] = field(default_factory=dict)


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
                name: decoder.build(recipe.modalities_reaching(name), encoder)
                for name, decoder in recipe.decoders.items()
            }
        )
        teacher_dim = recipe.teacher_encoder.width
        self.heads = nn.ModuleDict(
            {
                objective.name: _head(
                    recipe.decoders[objective.decoder].output_width(encoder),
                    objective.target.num_predicted(
                        self.modalities[objective.modality], teacher_dim
                    ),
                )
                for objective in recipe.objectives
            }
        )
        self.targets = nn.ModuleDict(
            {
                objective.name: objective.target.build(teacher_dim)
                for objective in recipe.objectives
                if isinstance(objective.target, TrainedTarget)
            }
        )
        self.teacher = build_teacher(
            recipe,
            self.backbone,
            decoders=dict(self.decoders.items()),
            heads=dict(self.heads.items()),
        )
        self.layers = tuple(
            dict.fromkeys(layer for d in recipe.decoders.values() for layer in d.layers(encoder))
        )

    def forward(
        self, batch: Sequence[Group], progress: float = 0.0, watch: bool = False
    ) -> Outcome:
        views = self.views(batch)
        sums: dict[str, LossSum] = {}
        truths = self._truths(views, own=sums)
        masked = self.encode(views, progress=progress)
        for item in masked:
            for name, part in self.losses(item, truths[item.number]).items():
                _add(sums, name, part)
        order = [*self.objectives, *(name for name in sums if name not in self.objectives)]
        return Outcome(
            sums={name: sums[name] for name in order if name in sums},
            num_tokens=sum(
                sum(item.encoded.num_visible) + sum(item.encoded.num_predict) for item in masked
            ),
            health=self._health(masked) if watch else {},
        )

    def losses(self, item: Masked, truths: Mapping[str, Truth]) -> dict[str, LossSum]:
        """Every objective's losses of one group under one plan, and the decoders' own."""
        layout, plan = item.view.layout, item.plan
        features, own = self.decode(item)
        sums: dict[str, LossSum] = {}
        for name, loss in own.items():
            count = torch.full_like(loss, float(sum(plan.num_visible)))
            sums[f"own/{name}"] = LossSum(total=loss, count=count)
        decoded = Decoded(
            plan=plan,
            num_tokens=layout.valid.shape[1],
            features={name: rows.detach() for name, rows in features.items()},
        )
        for objective in self._objectives_of(item.view):
            predicted = self.heads[objective.name](features[objective.decoder])
            aligned = (
                align_late(objective, decoded, layout=layout)
                if isinstance(objective.target, LateTarget)
                else align(objective, truths[objective.name], layout=layout, plan=plan)
            )
            losses = token_losses(objective, predicted, aligned)
            sums[objective.name] = sum_losses(losses, aligned.known)
            decoded.losses[objective.name] = losses.detach()
            decoded.counted[objective.name] = aligned.known
        return sums

    @torch.no_grad()
    def counts(self, batch: Sequence[Group], progress: float) -> dict[str, Tensor]:
        """The counts that `forward` will return, without encoding anything."""
        views = self.views(batch)
        sums: dict[str, LossSum] = {}
        truths = self._truths(views, own=sums)
        for view, known in zip(views, truths, strict=True):
            for plan in self.masks(view, progress):
                self._count(view, plan, known, sums)
        return {name: part.count for name, part in sums.items()}

    def _count(
        self,
        view: GroupView,
        plan: MaskPlan,
        truths: Mapping[str, Truth],
        sums: dict[str, LossSum],
    ) -> None:
        nothing = view.layout.valid.new_zeros((), dtype=torch.float32)
        shown = torch.full_like(nothing, float(sum(plan.num_visible)))
        for name in dict.fromkeys(o.decoder for o in self._objectives_of(view)):
            _add(sums, f"own/{name}", LossSum(total=nothing, count=shown))
        decoded = Decoded(plan=plan, num_tokens=view.layout.valid.shape[1])
        for objective in self._objectives_of(view):
            aligned = (
                align_late(objective, decoded, layout=view.layout, counting=True)
                if isinstance(objective.target, LateTarget)
                else align(objective, truths[objective.name], layout=view.layout, plan=plan)
            )
            count = aligned.known.sum(dtype=torch.float32)
            _add(sums, objective.name, LossSum(total=nothing, count=count))
            decoded.counted[objective.name] = aligned.known

    def masks(self, view: GroupView, progress: float) -> list[MaskPlan]:
        """The masks of one group: a pure function of its samples' keys, and of hints if asked."""
        return self.recipe.masker(view.layout, view.group.rng.child("mask"), view.hints, progress)

    def views(self, batch: Sequence[Group]) -> list[GroupView]:
        """The groups' modalities as tokens, and what the teacher says of them."""
        views = [split_group(group, self.modalities) for group in batch]
        return views if self.teacher is None else self.teacher.look(views)

    def truths(self, views: Sequence[GroupView]) -> list[dict[str, Truth]]:
        """Per view, each objective's target for every token, from the unmasked view.

        Late targets, which need predictions, are not among them.
        """
        return self._truths(views, own={})

    def _truths(
        self, views: Sequence[GroupView], own: dict[str, LossSum]
    ) -> list[dict[str, Truth]]:
        """Adds the losses of targets that are trained themselves to `own`."""
        return [
            {
                objective.name: self._truth(objective, view, own)
                for objective in self._objectives_of(view)
                if not isinstance(objective.target, LateTarget)
            }
            for view in views
        ]

    def _truth(self, objective: Objective, view: GroupView, own: dict[str, LossSum]) -> Truth:
        span = find_span(view.layout, objective.modality)
        assert span is not None, "asked only for modalities of the view"
        seen = View(
            modality=self.modalities[objective.modality],
            tokens=view.tokens[objective.modality],
            teacher=tuple(
                view.teacher[layer][:, span.start : span.stop]
                for layer in objective.target.teacher_layers
            ),
        )
        with torch.autocast(view.layout.valid.device.type, enabled=False):
            if isinstance(objective.target, Target):
                with torch.no_grad():
                    return objective.target(seen)
            truth, loss = self.targets[objective.name](seen)
        count = torch.full_like(loss, float(sum(span.num_valid)))
        _add(own, f"own/{objective.name}", LossSum(total=loss, count=count))
        return truth

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

    def decode(self, item: Masked) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """By decoder, its rows (r n d) at the plan's predicted ids, and its own loss if it has one
        (the sum over the plan's visible tokens).
        """
        features: dict[str, Tensor] = {}
        own: dict[str, Tensor] = {}
        for name in dict.fromkeys(o.decoder for o in self._objectives_of(item.view)):
            layers = self.recipe.decoders[name].layers(self.recipe.encoder)
            encoded = item.encoded.with_layers(layers, among=self.layers)
            result = self.decoders[name](encoded, item.view.layout, item.plan)
            if isinstance(result, tuple):
                result, own[name] = result
            features[name] = result
        return features, own

    def predictions(self, item: Masked) -> dict[str, Float[Tensor, "r n p"]]:
        """Each objective's prediction at the plan's predicted ids, for the view's modalities."""
        features, _ = self.decode(item)
        objectives = self._objectives_of(item.view)
        return {o.name: self.heads[o.name](features[o.decoder]) for o in objectives}

    def _objectives_of(self, view: GroupView) -> list[Objective]:
        return [o for o in self.recipe.objectives if o.modality in view.tokens]

    def _health(self, masked: Sequence[Masked]) -> dict[str, Tensor]:
        items = [(item.view.layout, item.plan, item.encoded.visible[0]) for item in masked]
        health = measure_health(items)
        parts = [*self.targets.items(), *self.decoders.items()]
        for name, module in parts:
            of_module = getattr(module, "health", None)
            if of_module is not None:
                health |= {f"{key}/{name}": value for key, value in of_module().items()}
        return health


def build_model(recipe: Recipe) -> MaskedModel:
    """The model with weights that depend on `recipe.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return MaskedModel(recipe)


def _add(sums: dict[str, LossSum], name: str, part: LossSum) -> None:
    sums[name] = sums[name] + part if name in sums else part


def _head(width: int, num_predicted: int) -> nn.Linear:
    head = nn.Linear(width, num_predicted)
    initialise(head)
    return head
