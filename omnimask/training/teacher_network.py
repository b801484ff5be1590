"""The teacher as a network: made from the student or read from another run."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.decoders.decoder import place_visible
from omnimask.foundation.errors import RecipeError
from omnimask.masking.full import full_plan
from omnimask.masking.hints import predicted_hints
from omnimask.masking.plan import MaskPlan
from omnimask.masking.predict import predict_everything
from omnimask.network.encoder import Backbone, Encoded
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher
from omnimask.tokens.tokens import TeacherOutput, View
from omnimask.training.frozen_teacher import frozen_weights


class TeacherNetwork(nn.Module):
    """A backbone that sees every token, and beside it what predicts hints and codes.

    Never trains: no gradients, always in evaluation mode.
    """

    def __init__(
        self,
        recipe: Recipe,
        backbone: Backbone,
        *,
        decoders: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        codebook: nn.Module | None,
    ) -> None:
        super().__init__()
        self.recipe, self.hints = recipe, predicted_hints(recipe.masker, recipe.hints)
        self.layers: tuple[TeacherOutput, ...] = tuple(
            dict.fromkeys(n for o in recipe.objectives for n in o.target.teacher_layers)
        )
        of_decoders = (n for name in decoders for n in self._layers_of(name))
        of_targets = (n for n in self.layers if isinstance(n, int) and n != 0)
        self.blocks = tuple(dict.fromkeys([*of_targets, *of_decoders]))
        self.backbone = backbone
        self.decoders = nn.ModuleDict(decoders)
        self.heads = nn.ModuleDict(heads)
        self.codebook = codebook
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "TeacherNetwork":
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def look(
        self, views: Sequence[View], hints: Sequence[Mapping[str, Tensor] | None] = ()
    ) -> list[View]:
        """The views with the teacher's outputs and hints; all go through it together.

        Where `hints` are given they are taken, and a teacher that is asked for nothing else rests.
        """
        if hints:
            views = [replace(view, hints=given) for view, given in zip(views, hints, strict=True)]
        if not self.layers and (hints or not self.hints):
            return list(views)
        shown = [self._shown(view) for view in views]
        encoded = self.backbone(shown, layers=self.blocks)
        return [
            replace(
                view,
                teacher=self._outputs(seen),
                hints=view.hints if hints or not self.hints else self._hints(seen),
            )
            for view, seen in zip(views, encoded, strict=True)
        ]

    def _shown(self, view: View) -> tuple[View, MaskPlan]:
        teacher = self.recipe.teacher
        known = teacher.modalities if isinstance(teacher, FrozenTeacher) else ()
        by_name = {modality.name: modality for modality in known}
        tokens = {}
        for name, part in view.tokens.items():
            of_student = self.recipe.modality(name)
            of_teacher = by_name.get(name, of_student)
            alike = of_teacher == of_student
            tokens[name] = part if alike else of_teacher.split(view.group.raw[name])
        plan = full_plan(view.layout)
        if self.hints:
            plan = predict_everything(plan, view.layout)
        return replace(view, tokens=tokens), plan

    def _outputs(self, encoded: Encoded) -> dict[TeacherOutput, Tensor]:
        num_tokens = encoded.layout.num_tokens
        outputs: dict[TeacherOutput, Tensor] = {}
        for layer in self.layers:
            if not isinstance(layer, int):
                assert self.codebook is not None, "Recipe.validate wants one for TeacherCodes"
                codes = self.codebook.codes(encoded)  # pyright: ignore[reportCallIssue]
                packed = codes[:, None].float()
            else:
                packed = encoded.visible[1 + self.blocks.index(layer) if layer else 0]
            outputs[layer], _ = place_visible(packed, encoded.plan, num_tokens=num_tokens)
        return outputs

    def _hints(self, encoded: Encoded) -> dict[str, Float[Tensor, "b n"]]:
        """Its prediction for every token, of the objectives that the masker names."""
        hints = dict(encoded.view.hints or {})  # those that are made of the data
        for name in self.hints:
            objective = next(o for o in self.recipe.objectives if o.name == name)
            hints[name] = torch.zeros_like(encoded.layout.valid, dtype=torch.float32)
            if objective.modality not in encoded.view.tokens:
                continue
            layers = self._layers_of(objective.decoder)
            features = self.decoders[objective.decoder](
                encoded.with_layers(layers, among=self.blocks)
            )
            predicted = self.heads[name](features).squeeze(-1).float()
            mine = encoded.predicts(objective.modality)
            predicted = torch.where(mine, predicted, 0.0)
            hints[name].scatter_add_(1, encoded.plan.predict_ids, predicted)
        return hints

    def _layers_of(self, decoder: str) -> tuple[int, ...]:
        return self.recipe.decoders[decoder].layers(self.recipe.encoder)


def build_teacher(
    recipe: Recipe,
    backbone: Backbone,
    *,
    decoders: Mapping[str, nn.Module],
    heads: Mapping[str, nn.Module],
) -> TeacherNetwork | None:
    """The recipe's teacher: a copy of the student's parts, or with a `run` one whose weights are
    random until `load_frozen` reads them.
    """
    teacher = recipe.teacher
    if teacher is None:
        return None
    record = teacher.codebook if isinstance(teacher, FrozenTeacher) else None
    encoder = recipe.teacher_encoder
    modalities = recipe.modalities
    if isinstance(teacher, FrozenTeacher) and teacher.run is not None:
        modalities = teacher.modalities
        copied = Backbone(modalities, encoder)
    else:
        copied = copy.deepcopy(backbone)
    asked = predicted_hints(recipe.masker, recipe.hints)
    hinting = [o for o in recipe.objectives if o.name in asked]
    return TeacherNetwork(
        recipe,
        copied,
        decoders={o.decoder: copy.deepcopy(decoders[o.decoder]) for o in hinting},
        heads={o.name: copy.deepcopy(heads[o.name]) for o in hinting},
        codebook=record.build(modalities, encoder) if record else None,
    )


def load_frozen(network: TeacherNetwork, teacher: FrozenTeacher) -> None:
    """Reads the weights in the teacher's folder into the network."""
    weights = frozen_weights(teacher)
    _load(network.backbone, weights, "backbone.", teacher)
    if network.codebook is not None:
        _load(network.codebook, weights, f"decoders.{teacher.decoder}.", teacher)


def _load(
    module: nn.Module, weights: Mapping[str, Tensor], prefix: str, teacher: FrozenTeacher
) -> None:
    of_module = {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    of_module.pop(
        "mask_token", None
    )  # of a student that replaced hidden tokens; a teacher has none
    missing, unexpected = module.load_state_dict(of_module, strict=False)
    if missing or unexpected:
        raise RecipeError(
            f"teacher.run {teacher.run}: its weights do not fit its recipe; missing {missing[:3]}, "
            f"unexpected {unexpected[:3]}. Was it written by another version of omnimask?"
        )
