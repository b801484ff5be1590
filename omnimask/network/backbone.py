"""Tokenizers and encoder: from the tokens of several groups to encoded rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from omnimask.tokens.packing import Lengths, interleave, pack, separate
from omnimask.tokens.tokens import Layout, Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Some tokens of a group, packed: `ids` (t) count through the flattened (b * n) sequence."""

    ids: Int64[Tensor, " t"]
    lengths: Lengths


def select(
    ids: Int64[Tensor, "r k"], lengths: Lengths, *, copies: int, num_tokens: int
) -> Selection:
    """Packs ids within rows, row i belonging to sample i // copies, into ids of the whole group."""
    samples = torch.arange(ids.shape[0], device=ids.device)[:, None] // copies
    return Selection(ids=pack(ids + samples * num_tokens, lengths), lengths=lengths)


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

    def forward(self, layout: Layout, selection: Selection) -> Float[Tensor, "t d"]:
        if len(layout.spans) == 1:
            span = layout.spans[0]
            coords = span.coords.flatten(0, 1).index_select(0, selection.ids)
            return self._of_modality(span.modality, coords)
        everywhere = [
            self._of_modality(span.modality, span.coords.flatten(0, 1)).unflatten(
                0, span.coords.shape[:2]
            )
            for span in layout.spans
        ]
        return torch.cat(everywhere, dim=1).flatten(0, 1).index_select(0, selection.ids)

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

    def forward(self, tokens: Mapping[str, Tokens], selection: Selection) -> Float[Tensor, "t d"]:
        if len(tokens) == 1:
            ((name, part),) = tokens.items()
            values = part.values.flatten(0, 1).index_select(0, selection.ids)
            return self.embeddings[name](values)
        # Modalities of one row are interleaved by ids that only the device knows, so that each is
        # embedded whole before the choice.
        everything = [
            self.embeddings[name](part.values.flatten(0, 1)).unflatten(0, part.values.shape[:2])
            for name, part in tokens.items()
        ]
        return torch.cat(everything, dim=1).flatten(0, 1).index_select(0, selection.ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeItem:
    """One group under one mask plan, on its way through the encoder.

    With `mask_tokens` the predicted places enter the encoder too, holding the mask token.
    """

    tokens: Mapping[str, Tokens]
    layout: Layout
    plan: MaskPlan
    rng: Rng | None = None
    mask_tokens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One item's packed encoder output, cut into its three parts, for each returned layer.

    `layers[0]` is the normalised output; the layers asked for follow in the order of asking.
    Lengths are per row; `predict` parts are empty unless mask tokens were encoded.
    """

    prefix: tuple[Float[Tensor, "p d"], ...]
    visible: tuple[Float[Tensor, "t d"], ...]
    predict: tuple[Float[Tensor, "q d"], ...]
    num_prefix: int
    num_visible: Lengths
    num_predict: Lengths

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

    def forward(self, items: Sequence[EncodeItem], *, layers: Sequence[int] = ()) -> list[Encoded]:
        """All items go through the blocks together; each row attends to itself alone."""
        parts = [self._assemble(item) for item in items]
        known = {key: torch.cat([about[key] for _, _, about in parts]) for key in parts[0][2]}
        rows = Rows(
            groups=tuple(lengths for _, lengths, _ in parts),
            angles=known.get("angles"),
            places=known.get("places"),
            cells=known.get("cells"),
            rngs=self._rngs(items),
        )
        outputs = self.encoder(torch.cat([x for x, _, _ in parts]), rows, layers=layers)
        num_prefix = self.encoder.config.num_prefix
        sizes = [sum(lengths) + num_prefix * len(lengths) for lengths in rows.groups]
        per_item = zip(*(output.split(sizes) for output in outputs), strict=True)
        return [self._cut(item, output) for item, output in zip(items, per_item, strict=True)]

    def _assemble(self, item: EncodeItem) -> tuple[Tensor, Lengths, dict[str, Tensor]]:
        """Packed inputs of one item, the lengths of its rows, and the fields of `Rows` that say
        where its tokens stand."""
        plan, num_tokens = item.plan, item.layout.valid.shape[1]
        visible = select(
            plan.visible_ids, plan.num_visible, copies=plan.copies, num_tokens=num_tokens
        )
        x, about = self._placed(self.contents(item.tokens, visible), item.layout, visible)
        if not item.mask_tokens:
            return x, visible.lengths, about
        assert self.mask_token is not None, (
            "Recipe.validate lets only `replace` ask for mask tokens"
        )
        hidden = select(
            plan.predict_ids, plan.num_predict, copies=plan.copies, num_tokens=num_tokens
        )
        masks = self.mask_token.expand(len(hidden.ids), -1)
        masked, about_masked = self._placed(masks, item.layout, hidden)
        x, lengths = interleave([(x, visible.lengths), (masked.to(x.dtype), hidden.lengths)])
        joined = {
            key: interleave([(part, visible.lengths), (about_masked[key], hidden.lengths)])[0]
            for key, part in about.items()
        }
        return x, lengths, joined

    def _placed(
        self, x: Tensor, layout: Layout, selection: Selection
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Chosen tokens as they enter the first block, and what later blocks need to know."""
        config, places = self.encoder.config, self.places(layout, selection)
        about: dict[str, Tensor] = {}
        if config.places_every_block:
            about["places"] = places
        else:
            x = x + places
        if config.positions in ("rotary", "both"):
            about["angles"] = self._angles(layout).flatten(0, 1).index_select(0, selection.ids)
        if config.relative_bias:
            cells = self.relative.of(layout)
            about["cells"] = cells.flatten(0, 1).index_select(0, selection.ids)
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

    def _rngs(self, items: Sequence[EncodeItem]) -> tuple[Rng, ...] | None:
        rngs = tuple(item.rng for item in items if item.rng is not None)
        return rngs if len(rngs) == len(items) else None

    def _cut(self, item: EncodeItem, outputs: Sequence[Tensor]) -> Encoded:
        plan, num_prefix = item.plan, self.encoder.config.num_prefix
        num_predict = plan.num_predict if item.mask_tokens else (0,) * len(plan.num_predict)
        lengths = [(num_prefix,) * len(num_predict), plan.num_visible, num_predict]
        prefix, visible, predict = zip(*(separate(x, lengths) for x in outputs), strict=True)
        return Encoded(
            prefix=prefix,
            visible=visible,
            predict=predict,
            num_prefix=num_prefix,
            num_visible=plan.num_visible,
            num_predict=num_predict,
        )
