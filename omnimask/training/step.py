"""The model and its step: tokens, targets, masks, encode, decode, losses. Nothing here knows a
modality; `optimisation.py` has what comes after: backward pass, clipping, optimizer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.masking.hints import Hint
from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Backbone, Encoded
from omnimask.objectives.heads import SharedHead
from omnimask.objectives.late_targets import LateTarget
from omnimask.objectives.objective import Objective, Outcome
from omnimask.objectives.targets import Target, TrainedTarget
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import SnapshotTeacher, Teacher
from omnimask.tokens.tokens import Group, Tokens, View
from omnimask.training.ema import update_ema
from omnimask.training.health import measure_health
from omnimask.training.sharding import like
from omnimask.training.teacher_network import build_teacher

Hints = Mapping[str, Tensor] | None  # what the masker asks for, of one group: View.hints


@runtime_checkable
class Watched(Protocol):
    """A target's or decoder's module that has scalars to watch beside its loss."""

    def health(self) -> dict[str, Tensor]: ...


class MaskedModel(nn.Module):
    """Everything with weights that a recipe names, and the step that runs them."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.modalities = {modality.name: modality for modality in recipe.modalities}
        self.objectives = {objective.name: objective for objective in recipe.objectives}
        encoder, teacher_dim = recipe.encoder, recipe.teacher_encoder.width
        self.backbone = Backbone(recipe.modalities, encoder, mask_token=recipe.hidden == "replace")
        self.decoders = nn.ModuleDict(
            {
                name: decoder.build(recipe.modalities_reaching(name), encoder)
                for name, decoder in recipe.decoders.items()
            }
        )
        self.head_of = {  # objective -> the one whose head it has, itself as a rule
            o.name: o.head.objective if isinstance(o.head, SharedHead) else o.name
            for o in recipe.objectives
        }
        self.heads = nn.ModuleDict(
            {o.name: _head(recipe, o) for o in recipe.objectives if self.head_of[o.name] == o.name}
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
        self.decoder_layers = {name: d.layers(encoder) for name, d in recipe.decoders.items()}
        self.layers = tuple(dict.fromkeys(n for read in self.decoder_layers.values() for n in read))

    def forward(
        self,
        batch: Sequence[Group],
        progress: float = 0.0,
        watch: bool = False,
        hints: Sequence[Hints] = (),
    ) -> Outcome:
        """The step. `progress` is the share of training that is done, `hints` are what `self.hints`
        gives, where somebody has computed them before.
        """
        outcome = Outcome()
        views = self.views(batch, hints)
        truths = [self.truths(view, outcome) for view in views]
        plans = [self.masks(view, progress) for view in views]
        encoded = self.encode(views, plans)
        truths_of = [truth for truth, each in zip(truths, plans, strict=True) for _ in each]
        for masked, truth in zip(encoded, truths_of, strict=True):
            self.losses(masked, truth, outcome)
        names = [name for name in self.objectives if name in outcome.sums]
        outcome.sums = {name: outcome.sums[name] for name in [*names, *outcome.sums]}
        outcome.num_tokens = sum(masked.num_tokens for masked in encoded)
        outcome.health = self._health(encoded) if watch else {}
        return outcome

    def views(self, batch: Sequence[Group], hints: Sequence[Hints] = ()) -> list[View]:
        """The groups' modalities as tokens, and what the teacher says of them."""
        views = [View.of(group, self.modalities) for group in batch]
        if self.recipe.hints:
            given = hints or [self._made_hints(view) for view in views]
            views = [replace(view, hints=each) for view, each in zip(views, given, strict=True)]
        return views if self.teacher is None else self.teacher.look(views, hints)

    @torch.no_grad()
    def hints(self, batch: Sequence[Group]) -> list[Hints]:
        """What the masker draws by, by group; the teacher runs only if there is something."""
        if self.teacher is not None and self.teacher.hints:
            return [view.hints for view in self.views(batch)]
        if self.recipe.hints:
            return [self._made_hints(View.of(group, self.modalities)) for group in batch]
        return [None] * len(batch)

    @torch.no_grad()
    def _made_hints(self, view: View) -> dict[str, Tensor]:
        """The hints that are made of the data, over the sequence; zero where they do not fit."""
        parts = [view.tokens[span.modality] for span in view.layout.spans]
        with torch.autocast(view.layout.valid.device.type, enabled=False):
            return {
                name: torch.cat([_hint_of(hint, tokens) for tokens in parts], dim=1)
                for name, hint in self.recipe.hints.items()
            }

    def truths(self, view: View, outcome: Outcome) -> dict[str, Tensor]:
        """By objective, its target's values (b n t) for every token, from the unmasked view.

        Late targets, which need predictions, are not among them. The losses of targets that are
        trained themselves go into `outcome`.
        """
        truths: dict[str, Tensor] = {}
        for objective in self._objectives_of(view):
            name, target = objective.name, objective.target
            if isinstance(target, LateTarget):
                continue
            tokens = view.tokens[objective.modality]
            teacher = view.teacher_of(objective.modality, target.teacher_layers)
            with torch.autocast(tokens.valid.device.type, enabled=False):
                if isinstance(target, Target):
                    with torch.no_grad():
                        truths[name] = target(self.modalities[objective.modality], tokens, teacher)
                    continue
                truths[name], own = self.targets[name](tokens, teacher)
            outcome.add(f"own/{name}", own, sum(tokens.num_valid))
        return truths

    def masks(self, view: View, progress: float) -> list[MaskPlan]:
        """The masks of one group: a pure function of its samples' keys, and of its hints."""
        return self.recipe.masker(view.layout, view.group.rng.child("mask"), view.hints, progress)

    def encode(self, views: Sequence[View], plans: Sequence[Sequence[MaskPlan]]) -> list[Encoded]:
        """Encodes all views together, each under every one of its plans."""
        masked = [(view, plan) for view, each in zip(views, plans, strict=True) for plan in each]
        return self.backbone(masked, layers=self.layers)

    def decode(self, encoded: Encoded) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """By decoder, its features (r n d) at the plan's predicted ids, and its own loss if it has
        one (the sum over the plan's visible tokens).
        """
        features: dict[str, Tensor] = {}
        own: dict[str, Tensor] = {}
        for name in self._decoders_of(encoded.view):
            layers = self.decoder_layers[name]
            decoded = self.decoders[name](encoded.with_layers(layers, among=self.layers))
            if isinstance(decoded, tuple):
                decoded, own[name] = decoded
            features[name] = decoded
        return features, own

    def losses(self, encoded: Encoded, truths: Mapping[str, Tensor], outcome: Outcome) -> None:
        """Adds every objective's losses of one group under one plan to `outcome`, and the
        decoders' own.
        """
        features, own = self.decode(encoded)
        counts = self._count(encoded)
        for name, loss in own.items():
            outcome.add(f"own/{name}", loss, counts[f"own/{name}"])
        encoded.features.update({name: part.detach() for name, part in features.items()})
        for objective in self._objectives_of(encoded.view):
            name, target = objective.name, objective.target
            predicted = self.heads[self.head_of[name]](features[objective.decoder])
            if isinstance(target, LateTarget):
                truth = target.values(encoded).detach()
            else:
                truth = encoded.at_predicted(truths[name], objective.modality)
            losses = objective.losses(predicted, truth, encoded.counted[name])
            outcome.add(name, losses.sum(), counts[name])
            encoded.losses[name] = losses.detach()

    def _count(self, encoded: Encoded) -> dict[str, Tensor | int]:
        """How many tokens of one group under one plan each loss counts, those that decoders may
        have of their own among them; says in `encoded` which.
        """
        visible = sum(encoded.plan.num_visible)
        counts: dict[str, Tensor | int] = {
            f"own/{name}": visible for name in self._decoders_of(encoded.view)
        }
        for objective in self._objectives_of(encoded.view):
            counted = objective.counted(encoded)
            encoded.counted[objective.name] = counted
            counts[objective.name] = counted.sum(dtype=torch.float32)
        return counts

    @torch.no_grad()
    def counts(
        self, batch: Sequence[Group], progress: float, hints: Sequence[Hints]
    ) -> dict[str, Tensor]:
        """The counts that `forward` will return. Runs neither teacher nor encoder nor targets."""
        outcome = Outcome()
        for group, given in zip(batch, hints, strict=True):
            view = replace(View.of(group, self.modalities), hints=given)
            nothing = view.layout.valid.new_zeros((), dtype=torch.float32)
            for objective in self._objectives_of(view):
                if objective.name in self.targets:
                    num_valid = sum(view.tokens[objective.modality].num_valid)
                    outcome.add(f"own/{objective.name}", nothing, num_valid)
            for plan in self.masks(view, progress):
                for name, count in self._count(Encoded(view=view, plan=plan)).items():
                    outcome.add(name, nothing, count)
        return outcome.counts

    def before_clip(self, progress: float) -> None:
        """Every gradient counts."""

    def after_step(self, progress: float) -> None:
        """A teacher made from the student follows; `progress` is the share of training that is now
        done.
        """
        teacher, steps = self.recipe.teacher, self.recipe.optim.steps
        if isinstance(teacher, SnapshotTeacher):
            stage = teacher.stage_begun(round(progress * steps), steps)
            if stage is not None:
                self._begin_stage(stage)
        if isinstance(teacher, Teacher):
            assert self.teacher is not None
            update_ema(self.teacher, self, teacher.decay_at(progress))

    @torch.no_grad()
    def _begin_stage(self, stage: int) -> None:
        """The teacher becomes the student, and the student is drawn anew."""
        assert self.teacher is not None
        update_ema(self.teacher, self, 0.0)
        fresh = build_model(self.recipe, stage=stage).state_dict()
        for name, value in self.state_dict().items():
            if not name.startswith("teacher."):
                value.copy_(like(fresh[name], value))

    def predictions(self, encoded: Encoded) -> dict[str, Float[Tensor, "r n p"]]:
        """Each objective's prediction at the plan's predicted ids, for the view's modalities."""
        features, _ = self.decode(encoded)
        objectives = self._objectives_of(encoded.view)
        return {o.name: self.heads[self.head_of[o.name]](features[o.decoder]) for o in objectives}

    def _objectives_of(self, view: View) -> list[Objective]:
        return [o for o in self.recipe.objectives if o.modality in view.tokens]

    def _decoders_of(self, view: View) -> list[str]:
        return list(dict.fromkeys(o.decoder for o in self._objectives_of(view)))

    def _health(self, encoded: Sequence[Encoded]) -> dict[str, Tensor]:
        health = measure_health([(e.layout, e.plan, e.visible[0]) for e in encoded])
        for name, module in [*self.targets.items(), *self.decoders.items()]:
            if isinstance(module, Watched):
                health |= {f"{key}/{name}": value for key, value in module.health().items()}
        return health


def _hint_of(hint: Hint, tokens: Tokens) -> Float[Tensor, "b n"]:
    nothing = torch.zeros_like(tokens.valid, dtype=torch.float32)
    return hint(tokens) if hint.fits(tokens.grid) else nothing


_STAGE_SEED = 1_000_003  # seeds of a run's stages; far from those of its neighbours


def build_model(recipe: Recipe, *, stage: int = 0) -> MaskedModel:
    """The model with weights that depend on `recipe.seed` and the stage alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + stage * _STAGE_SEED)
        return MaskedModel(recipe)


def _head(recipe: Recipe, objective: Objective) -> nn.Module:
    width = recipe.decoders[objective.decoder].output_width(recipe.encoder)
    return objective.head.build(width, recipe.num_predicted(objective))
