"""Encoder and head in one module, and the supervised step that runs them."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.masking.full import full_plan
from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Backbone, Encoded
from omnimask.objectives.objective import Outcome
from omnimask.tokens.tokens import Group, View
from omnimask.training.checkpoint import fill_weights
from omnimask.training.ema import update_ema
from omnimask.training.step import Hints
from omnimask.transfer.finetuning.heads import Head
from omnimask.transfer.finetuning.layers import freeze, has_thawed
from omnimask.transfer.finetuning.lora import add_lora
from omnimask.transfer.finetuning.mixing import mix_tokens
from omnimask.transfer.finetuning.place_head import features_of
from omnimask.transfer.finetuning.recipe import LOSS, FinetuneRecipe
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


class FinetunedModel(nn.Module):
    """The weights of a fine-tuning run. `average` is there where the recipe asks for one.

    `start` fills the encoder; without it the encoder is random.
    """

    def __init__(self, recipe: FinetuneRecipe, start: PretrainedEncoder | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.modalities = {modality.name: modality for modality in recipe.modalities}
        encoder = replace(recipe.encoder, drop_path=recipe.drop_path)
        self.backbone = Backbone(recipe.modalities, encoder)
        if start is not None:
            fill_weights(self.backbone, start.backbone.state_dict(), source=start.info.name)
        if recipe.lora.rank > 0:
            add_lora(self.backbone, recipe.lora)
        task = recipe.task
        self.layers = task.head.layers if isinstance(task, Segmentation) else ()
        _check_layers(self.layers, encoder.depth)
        self.head = _build_head(recipe)
        freeze(self, recipe.frozen, encoder.depth, layers=self.layers)
        self.average = None
        if recipe.ema_decay is not None:
            parts = {"backbone": self.backbone, "head": self.head}
            self.average = nn.ModuleDict({n: copy.deepcopy(part) for n, part in parts.items()})
            self.average.requires_grad_(False)

    def train(self, mode: bool = True) -> "FinetunedModel":
        """What is frozen stays in evaluation mode, and so does the average."""
        super().train(mode)
        frozen, encoder = self.recipe.frozen, self.backbone.encoder
        if frozen.encoder:
            self.backbone.eval()
        elif frozen.blocks:
            for part in (self.backbone.contents, self.backbone.places):
                part.eval()
            for block in encoder.blocks[: frozen.blocks]:
                block.eval()
        if self.average is not None:
            self.average.eval()
        return self

    def forward(
        self,
        batch: Sequence[Group],
        progress: float = 0.0,
        watch: bool = False,
        hints: Sequence[Hints] = (),
    ) -> Outcome:
        views, targets = self._supervised(batch)
        masked = [(view, self._plan(view, progress)) for view in views]
        encoded = self.backbone(masked, layers=self.layers)
        task, outcome = self.recipe.task, Outcome(num_tokens=sum(e.num_tokens for e in encoded))
        for each, target in zip(encoded, targets, strict=True):
            total = task.loss(self._outputs(self.head, each), target)
            outcome.add(LOSS, total, task.count(target))
        return outcome

    def hints(self, batch: Sequence[Group]) -> Sequence[Hints]:
        return ()

    @torch.no_grad()
    def counts(
        self, batch: Sequence[Group], progress: float = 0.0, hints: Sequence[Hints] = ()
    ) -> dict[str, Tensor]:
        """The count that `forward` will return, without encoding anything."""
        _, targets = self._supervised(batch)
        counts = [self.recipe.task.count(target) for target in targets]
        return {LOSS: torch.stack(counts).sum()}

    def truth(self, group: Group) -> Float[Tensor, "b k"]:
        """The labels of samples as their task encodes them, or of places as class ids, -1 where
        the class is not known."""
        task = self.recipe.task
        if isinstance(task, Segmentation):
            return task.labels.classes(group.raw[task.labels.name]).float()
        assert group.labels is not None, "a StreamReader with labels made it"
        return group.labels

    def features(self, group: Group) -> Float[Tensor, "b d"]:
        """What the head of whole samples pools, with everything shown; not yet normalised."""
        assert isinstance(self.head, Head), "Segmentation has no vector per sample"
        return self.head.features(self.backbone([self._whole(group)])[0])

    @torch.no_grad()
    def predict(self, group: Group) -> Float[Tensor, "b p *k"]:
        """Probabilities (of each place: b p k), or numbers, by the average of the weights where
        there is one.

        In evaluation mode and with everything shown; the mode stays as it was.
        """
        parts: dict[str, nn.Module] = {"backbone": self.backbone, "head": self.head}
        if self.average is not None:
            parts = dict(self.average.items())
        was_training = self.training
        self.eval()
        encoded = parts["backbone"]([self._whole(group)], layers=self.layers)[0]
        outputs = self._outputs(parts["head"], encoded)
        self.train(was_training)
        return self.recipe.task.read(outputs)

    def before_clip(self, progress: float) -> None:
        """Layers that have not thawed yet lose their gradients, so that they stay as they are."""
        frozen, depth = self.recipe.frozen, self.recipe.encoder.depth
        if frozen.thaw == frozen.until == 0.0:
            return
        for name, parameter in self.named_parameters():
            if not has_thawed(name, frozen, depth=depth, progress=progress):
                parameter.grad = None

    def after_step(self, progress: float) -> None:
        self.update_average(round(progress * self.recipe.optim.steps))

    def update_average(self, step: int) -> None:
        """The average follows faster in the beginning: by min(decay, (1 + step) / (10 + step))."""
        if self.average is None or self.recipe.ema_decay is None:
            return
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        update_ema(self.average, self, decay)

    def _whole(self, group: Group) -> tuple[View, MaskPlan]:
        """The group with every token shown."""
        view = View.of(group, self.modalities)
        return view, full_plan(view.layout)

    def _supervised(self, batch: Sequence[Group]) -> tuple[list[View], list[Tensor]]:
        views, targets = [], []
        mix = self.recipe.mix
        for group in batch:
            view, lam = View.of(group, self.modalities), None
            if self.training and (mix.mixup > 0.0 or mix.cutmix > 0.0):
                tokens, lam = mix_tokens(view.tokens, mix, group.rng.child("mix"))
                view = replace(view, tokens=tokens)
            views.append(view)
            targets.append(self.recipe.task.targets(self.truth(group), lam))
        return views, targets

    def _outputs(self, head: nn.Module, encoded: Encoded) -> Tensor:
        task = self.recipe.task
        if not isinstance(task, Segmentation):
            return head(encoded)
        ((name, tokens),) = encoded.view.tokens.items()
        places = task.labels.places(encoded.view.group.raw[name])
        return head(features_of(encoded), tokens, places)

    def _plan(self, view: View, progress: float) -> MaskPlan:
        show = self.recipe.show
        if self.training and show is not None:
            return show(view.layout, view.group.rng.child("show"), None, progress)[0]
        return full_plan(view.layout)


def _check_layers(layers: Sequence[int], depth: int) -> None:
    if not all(-depth <= layer < 0 for layer in layers):
        raise RecipeError(
            f"task.head.layers count blocks from the last, -1 to -{depth} (encoder.depth), got "
            f"{layers}; name blocks that the encoder has"
        )


def _build_head(recipe: FinetuneRecipe) -> nn.Module:
    task, num_outputs = recipe.task, len(recipe.task.outputs)
    if not isinstance(task, Segmentation):
        return Head(recipe.encoder, num_outputs, pooling=recipe.pooling, norm=recipe.head_norm)
    modality = recipe.modalities[0]
    num_coords = 0 if modality.grid is not None else len(modality.extent)
    return task.head.build(recipe.encoder.width, num_outputs, num_coords=num_coords)


def build_finetuned(
    recipe: FinetuneRecipe, start: PretrainedEncoder | None = None
) -> FinetunedModel:
    """What is new in the model depends on `recipe.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return FinetunedModel(recipe, start)
