"""The encoder with a segmentation head, and its loss."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.backbone import EncodeItem
from omnimask.batch import Group
from omnimask.decoders.decoder import place_visible
from omnimask.group_view import split_group
from omnimask.masking.full import full_plan
from omnimask.model import Outcome
from omnimask.objective import LossSum
from omnimask.pretrained import EncoderInfo, PretrainedEncoder
from omnimask.segmentation.recipe import Segmentation


class SegmentationModel(nn.Module):
    """Random weights, to be loaded; `recipe.encoder` must be filled in."""

    def __init__(self, recipe: Segmentation) -> None:
        super().__init__()
        self.recipe = recipe
        assert recipe.encoder is not None, "the job fills it in"
        config = replace(recipe.encoder, drop_path=recipe.drop_path)
        info = EncoderInfo(
            name=recipe.name, modalities=recipe.modalities, encoder=config, origin={}
        )
        self.encoder = PretrainedEncoder(info)
        self.encoder.requires_grad_(not recipe.freeze)
        on_grid = recipe.input.grid is not None
        self.head = recipe.head.build(
            config.width,
            len(recipe.labels.class_names),
            num_coords=0 if on_grid else len(recipe.input.extent),
        )
        weights = recipe.loss.class_weights
        self.register_buffer(
            "class_weights", None if weights is None else torch.tensor(weights), persistent=False
        )
        self.class_weights: Tensor | None
        self.train()

    def forward(
        self, batch: Sequence[Group], progress: float = 0.0, watch: bool = False
    ) -> Outcome:
        parts = [self._loss(group) for group in batch]
        total = parts[0][0]
        for part, _ in parts[1:]:
            total = total + part
        return Outcome(
            sums={self.recipe.loss.name: total}, num_tokens=sum(count for _, count in parts)
        )

    def logits(self, group: Group) -> Float[Tensor, "b p k"]:
        return self._logits(group)[0]

    def counts(self, batch: Sequence[Group]) -> dict[str, Tensor]:
        """How many places are known, without encoding anything."""
        labels = self.recipe.labels
        known = [(labels.classes(group.raw[labels.name]) >= 0).sum() for group in batch]
        return {self.recipe.loss.name: torch.stack(known).sum().float()}

    def _logits(self, group: Group) -> tuple[Tensor, int]:
        name, head = self.recipe.input.name, self.recipe.head
        inputs = replace(group, raw={name: group.raw[name]})
        view = split_group(inputs, self.encoder.modalities)
        plan = full_plan(view.layout)
        item = EncodeItem(tokens=view.tokens, layout=view.layout, plan=plan, rng=group.rng)
        encoded = self.encoder.backbone([item], layers=head.layers)[0]
        packed = encoded.visible[1:] if head.layers else encoded.visible
        tokens = view.tokens[name]
        num_tokens = tokens.values.shape[1]
        features = tuple(place_visible(x, plan, num_tokens=num_tokens)[0] for x in packed)
        places = self.recipe.labels.places(group.raw[name])
        return self.head(features, tokens, places), sum(plan.num_visible)

    def _loss(self, group: Group) -> tuple[LossSum, int]:
        labels, loss = self.recipe.labels, self.recipe.loss
        logits, num_tokens = self._logits(group)
        classes = labels.classes(group.raw[labels.name])
        losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            classes.flatten(),
            weight=self.class_weights,
            ignore_index=-1,
            reduction="none",
            label_smoothing=loss.label_smoothing,
        )
        count = (classes >= 0).sum().float()
        return LossSum(total=losses.sum(), count=count), num_tokens
