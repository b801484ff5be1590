"""Tokenizers and encoder: from the tokens of several groups to encoded rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan
from omnimask.network.blocks import Rows
from omnimask.network.encoder import Encoder, TransformerEncoder
from omnimask.network.positions import rotary_angles
from omnimask.network.relative import RelativePlaces
from omnimask.tokens.modality import Modality
from omnimask.tokens.packing import Lengths, interleave, separate
from omnimask.tokens.tokens import Layout, Tokens, View


class Places(nn.Module):
    """Position embedding plus modality vector of chosen tokens, at one width."""

    def __init__(self, modalities: Sequence[Modality], dim: int, *, additive: bool = True) -> None:
        super().__init__()
        self.positions = nn.ModuleDict(
            {modality.name: modality.position(dim) for modality in modalities if additive}
        )
        self.modalities = nn.ParameterDict(
            {modality.name: nn.Parameter(torch.empty(dim)) for modality in modalities}
        )
        for vector in self.modalities.values():
            nn.init.trunc_normal_(vector, std=0.02)

    def forward(self, layout: Layout, packed: Int64[Tensor, " t"]) -> Float[Tensor, "t d"]:
        """`packed` are places in the samples' flattened (b n) sequence, as a plan packs them."""
        if len(layout.spans) == 1:
            span = layout.spans[0]
            coords = span.coords.flatten(0, 1).index_select(0, packed)
            return self._of_modality(span.modality, coords)
        everywhere = [
            self._of_modality(span.modality, span.coords.flatten(0, 1)).unflatten(
                0, span.coords.shape[:2]
            )
            for span in layout.spans
        ]
        return torch.cat(everywhere, dim=1).flatten(0, 1).index_select(0, packed)

    def _of_modality(self, modality: str, coords: Float[Tensor, "k c"]) -> Float[Tensor, "k d"]:
        vector = self.modalities[modality]
        if modality not in self.positions:
            return vector.expand(len(coords), -1)
        return self.positions[modality](coords) + vector


class Contents(nn.Module):
    """Embedding of the values of chosen tokens; the values of the others are never touched."""

    def __init__(self, modalities: Sequence[Modality], dim: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {modality.name: modality.embed(dim) for modality in modalities}
        )

    def forward(
        self, tokens: Mapping[str, Tokens], packed: Int64[Tensor, " t"]
    ) -> Float[Tensor, "t d"]:
        """`packed` as in `Places`."""
        if len(tokens) == 1:
            ((name, part),) = tokens.items()
            values = part.values.flatten(0, 1).index_select(0, packed)
            return self.embeddings[name](values)
        # Modalities of one row are interleaved by ids that only the device knows, so that each is
        # embedded whole before the choice.
        everything = [
            self.embeddings[name](part.values.flatten(0, 1)).unflatten(0, part.values.shape[:2])
            for name, part in tokens.items()
        ]
        return torch.cat(everything, dim=1).flatten(0, 1).index_select(0, packed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One group under one mask plan, on its way through the step.

    First the packed output of the encoder, cut into its three parts, for each returned layer:
    entry 0 is the normalised output, those asked for follow in the order of asking; `predict` parts
    are empty unless the backbone has a mask token. Then, filled in as the step goes on and
    detached, for targets that are made of it: by decoder its `features` (r n_predict d), by
    objective the `losses` (r n_predict) of predicted tokens and which of them are `counted`.
    """

    view: View
    plan: MaskPlan
    prefix: tuple[Float[Tensor, "p d"], ...] = ()
    visible: tuple[Float[Tensor, "t d"], ...] = ()
    predict: tuple[Float[Tensor, "q d"], ...] = ()
    num_prefix: int = 0
    features: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    counted: dict[str, Tensor] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return self.view.layout

    @property
    def num_tokens(self) -> int:
        """How many tokens of samples went through the encoder."""
        return sum(self.plan.num_visible) + (len(self.predict[0]) if self.predict else 0)

    def packed_visible(self) -> Int64[Tensor, " t"]:
        """Where the visible tokens stand in the samples' flattened (b n) sequence."""
        return self.plan.packed_visible(self.layout.num_tokens)

    def packed_predict(self) -> Int64[Tensor, " t"]:
        """Where the predicted tokens stand there."""
        return self.plan.packed_predict(self.layout.num_tokens)

    def with_layers(self, layers: Sequence[int], *, among: Sequence[int]) -> "Encoded":
        """Only the normalised output and `layers`, of an output that was asked for `among`."""
        if tuple(layers) == tuple(among):
            return self
        places = [0, *(1 + among.index(layer) for layer in layers)]
        return replace(
            self,
            prefix=tuple(self.prefix[i] for i in places),
            visible=tuple(self.visible[i] for i in places),
            predict=tuple(self.predict[i] for i in places),
        )


class Backbone(nn.Module):
    """The modalities' embeddings and the encoder: what a teacher copies and an export keeps."""

    def __init__(
        self, modalities: Sequence[Modality], encoder: Encoder, *, mask_token: bool = False
    ) -> None:
        super().__init__()
        self.extents = {modality.name: modality.extent for modality in modalities}
        self.contents = Contents(modalities, encoder.width)
        self.places = Places(modalities, encoder.width, additive=encoder.adds_places)
        self.mask_token = nn.Parameter(torch.empty(encoder.width)) if mask_token else None
        if self.mask_token is not None:
            nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.relative = RelativePlaces(modalities)
        self.encoder = TransformerEncoder(encoder, num_relative=self.relative.num_entries)

    def forward(
        self, masked: Sequence[tuple[View, MaskPlan]], *, layers: Sequence[int] = ()
    ) -> list[Encoded]:
        """All groups go through the blocks together; each row attends to itself alone.

        With a mask token the predicted places enter too, holding it. Training drops branches of
        blocks by the samples' keys.
        """
        parts = [self._assemble(view, plan) for view, plan in masked]
        known = {key: torch.cat([about[key] for _, _, about in parts]) for key in parts[0][2]}
        rows = Rows(
            groups=tuple(lengths for _, lengths, _ in parts),
            angles=known.get("angles"),
            places=known.get("places"),
            cells=known.get("cells"),
            rngs=self._rngs(masked) if self.training else None,
        )
        outputs = self.encoder(torch.cat([x for x, _, _ in parts]), rows, layers=layers)
        num_prefix = self.encoder.config.num_prefix
        sizes = [sum(lengths) + num_prefix * len(lengths) for lengths in rows.groups]
        per_group = zip(*(output.split(sizes) for output in outputs), strict=True)
        return [self._cut(*pair, output) for pair, output in zip(masked, per_group, strict=True)]

    def _assemble(self, view: View, plan: MaskPlan) -> tuple[Tensor, Lengths, dict[str, Tensor]]:
        """Packed inputs of one group, the lengths of its rows, and the fields of `Rows` that say
        where its tokens stand."""
        layout = view.layout
        visible = plan.packed_visible(layout.num_tokens)
        x, about = self._placed(self.contents(view.tokens, visible), layout, visible)
        if self.mask_token is None or not any(plan.num_predict):
            return x, plan.num_visible, about
        hidden = plan.packed_predict(layout.num_tokens)
        masks = self.mask_token.expand(len(hidden), -1)
        masked, about_masked = self._placed(masks, layout, hidden)
        pairs = {key: (part, about_masked[key]) for key, part in about.items()}
        x, lengths = _interleave_two(x, masked.to(x.dtype), plan)
        return x, lengths, {key: _interleave_two(*pair, plan)[0] for key, pair in pairs.items()}

    def _placed(
        self, x: Tensor, layout: Layout, packed: Int64[Tensor, " t"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Chosen tokens as they enter the first block, and what later blocks need to know."""
        config, places = self.encoder.config, self.places(layout, packed)
        about: dict[str, Tensor] = {}
        if config.places_every_block:
            about["places"] = places
        else:
            x = x + places
        if config.positions in ("rotary", "both"):
            about["angles"] = self._angles(layout).flatten(0, 1).index_select(0, packed)
        if config.relative_bias:
            cells = self.relative.of(layout)
            about["cells"] = cells.flatten(0, 1).index_select(0, packed)
        return x, about

    def _angles(self, layout: Layout) -> Tensor:
        config = self.encoder.config
        angles = [
            rotary_angles(
                span.coords.flatten(0, 1),
                self.extents[span.modality],
                head_dim=config.head_dim,
                style=config.rotary,
                on_grid=span.grid is not None,
            ).unflatten(0, span.coords.shape[:2])
            for span in layout.spans
        ]
        return torch.cat(angles, dim=1)

    def _rngs(self, masked: Sequence[tuple[View, MaskPlan]]) -> tuple[Rng, ...]:
        return tuple(view.group.rng.child("encoder").repeat(plan.copies) for view, plan in masked)

    def _cut(self, view: View, plan: MaskPlan, outputs: Sequence[Tensor]) -> Encoded:
        num_prefix, num_rows = self.encoder.config.num_prefix, len(plan.num_visible)
        num_predict = plan.num_predict if self.mask_token is not None else (0,) * num_rows
        lengths = [(num_prefix,) * num_rows, plan.num_visible, num_predict]
        prefix, visible, predict = zip(*(separate(x, lengths) for x in outputs), strict=True)
        return Encoded(
            view=view,
            plan=plan,
            prefix=prefix,
            visible=visible,
            predict=predict,
            num_prefix=num_prefix,
        )


def _interleave_two(visible: Tensor, predict: Tensor, plan: MaskPlan) -> tuple[Tensor, Lengths]:
    return interleave([(visible, plan.num_visible), (predict, plan.num_predict)])
