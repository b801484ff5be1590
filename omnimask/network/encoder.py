"""The one encoder, from the tokens of several groups to encoded rows: embeddings, a ViT on packed
rows of any modality, and what comes out of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.rng import Rng
from omnimask.masking.plan import MaskPlan
from omnimask.network.block_kinds import build_block
from omnimask.network.blocks import BlockStyle, Packing, check_heads
from omnimask.network.initialisation import initialise, initialise_by_depth, initialise_normal
from omnimask.network.positions import Rotary, rotary_angles
from omnimask.network.relative import RelativePlaces, look_up, of_prefix, pair_entries
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Rows, Tokens, View

# Width, depth, heads: ViT-B, -L and -H of https://arxiv.org/abs/2010.11929, table 1; -Ti and -S of
# https://arxiv.org/abs/2012.12877, table 1.
_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Configuration of the encoder.

    `positions`: "additive" adds each modality's position embedding to its tokens, "rotary" rotates
    queries and keys by the tokens' coordinates as `rotary` says, "both" does both, "none" neither.
    `places_every_block` adds the position embedding in front of every block instead of once, as in
    Point-BERT (https://arxiv.org/abs/2111.14819) and Point-MAE. `relative_bias`: each block learns
    a bias for how far two cells of a grid stand apart (`relative.py`); with "shared" all blocks
    learn one together. `num_registers`: learned tokens beside [CLS]
    (https://arxiv.org/abs/2309.16588). `pre_norm`: a norm of what enters the first block, as in
    CLIP. `norm_weights`: whether the norm after the last block has a learned scale. `init`:
    Xavier-uniform as MAE, or BEiT's, normal with deviation 0.02 and by depth
    (`initialise_by_depth`). `drop_path` is the last block's probability, rising linearly from 0.
    `checkpoint_blocks` recomputes activations in the backward pass.
    """

    width: int = 768
    depth: int = 12
    num_heads: int = 12
    style: BlockStyle = field(default_factory=BlockStyle)
    positions: Literal["additive", "rotary", "both", "none"] = "additive"
    rotary: Rotary = field(default_factory=Rotary)
    places_every_block: bool = False
    relative_bias: bool | Literal["shared"] = False
    class_token: bool = True
    num_registers: int = 0
    pre_norm: bool = False
    norm_weights: bool = True
    init: Literal["xavier", "normal_by_depth"] = "xavier"
    drop_path: float = 0.0
    checkpoint_blocks: bool = False

    def __post_init__(self) -> None:
        check_heads("encoder", self.width, self.num_heads)
        if not 0.0 <= self.drop_path < 1.0:
            raise RecipeError(f"encoder.drop_path must be in [0, 1), got {self.drop_path}")
        if self.positions == "none" and not self.relative_bias:
            raise RecipeError(
                "encoder.positions is 'none' and relative_bias is False: tokens would stand "
                "nowhere; write positions='additive' or relative_bias=True"
            )
        if self.places_every_block and not self.adds_places:
            raise RecipeError(
                "encoder.places_every_block needs position embeddings to add, but positions is "
                f"{self.positions!r}; write positions='additive'"
            )
        if self.style.kind != "vit":
            self._check_white_box()

    def _check_white_box(self) -> None:
        if (
            self.positions != "additive"
            or self.places_every_block
            or self.relative_bias
            or self.drop_path
            or self.init != "xavier"
        ):
            raise RecipeError(
                f"encoder.style.kind={self.style.kind!r} has blocks without rotary places, bias "
                "tables, places in every block, dropped paths and BEiT's start; leave these at "
                "their defaults, or write kind='vit'"
            )

    @property
    def adds_places(self) -> bool:
        """Whether tokens carry an embedding of where they stand."""
        return self.positions in ("additive", "both")

    @property
    def num_prefix(self) -> int:
        """[CLS] and registers, which stand before the tokens of every row."""
        return int(self.class_token) + self.num_registers

    @property
    def head_dim(self) -> int:
        return self.width // self.num_heads


def vit(size: str) -> Encoder:
    """The plain ViT encoder of a size by name: tiny, small, base, large or huge."""
    if size not in _SIZES:
        raise RecipeError(f"encoder size {size!r} is unknown; {nearest_names(size, _SIZES)}")
    width, depth, num_heads = _SIZES[size]
    return Encoder(width=width, depth=depth, num_heads=num_heads)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One group under one mask plan, on its way through the step.

    First the packed output of the encoder, cut into its three parts, for each returned layer:
    entry 0 is the normalised output, the chosen layers follow in the order of choice; `predict`
    parts are empty unless the backbone has a mask token. `norm` is the encoder's last, for decoders
    that make something of other layers that is to pass through it. Then, filled in as the step
    goes on and detached, for targets that are made of it: by decoder its `features` (r n_predict
    d), by objective the `losses` (r n_predict) of predicted tokens and which of them are `counted`.
    """

    view: View
    plan: MaskPlan
    prefix: tuple[Float[Tensor, "p d"], ...] = ()
    visible: tuple[Float[Tensor, "t d"], ...] = ()
    predict: tuple[Float[Tensor, "q d"], ...] = ()
    num_prefix: int = 0
    norm: nn.Module | None = None
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

    def predicts(self, modality: str) -> Bool[Tensor, "r n_predict"]:
        """Which predicted tokens are of this modality; surplus ids are of none."""
        ids, span = self.plan.predict_ids, self.layout.span(modality)
        return (ids >= span.start) & (ids < span.stop) & self.plan.predict_ok

    def at_predicted(self, values: Tensor, modality: str) -> Tensor:
        """What one modality's tokens have, (b n ...), at the plan's predicted ids: (r n_predict
        ...). At ids of other modalities it is that of some token of this one.
        """
        span, plan = self.layout.span(modality), self.plan
        ids = (plan.predict_ids - span.start).clamp(0, len(span) - 1)
        samples = torch.arange(ids.shape[0], device=ids.device)[:, None] // plan.copies
        return values[samples, ids]

    def with_layers(self, layers: Sequence[int], *, among: Sequence[int]) -> "Encoded":
        """Only the normalised output and `layers`, of an output that has the layers `among`."""
        if tuple(layers) == tuple(among):
            return self
        entries = [0, *(1 + among.index(layer) for layer in layers)]
        return replace(
            self,
            prefix=tuple(self.prefix[i] for i in entries),
            visible=tuple(self.visible[i] for i in entries),
            predict=tuple(self.predict[i] for i in entries),
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
        if encoder.init == "normal_by_depth":
            initialise_normal(self.contents)

    def forward(
        self, masked: Sequence[tuple[View, MaskPlan]], *, layers: Sequence[int] = ()
    ) -> list[Encoded]:
        """All groups go through the blocks together; each row attends to itself alone.

        With a mask token the predicted tokens enter too, holding it. Training drops branches of
        blocks by the samples' keys.
        """
        parts = [self._assemble(view, plan) for view, plan in masked]
        known = {key: torch.cat([about[key] for _, _, about in parts]) for key in parts[0][2]}
        packing = Packing(
            groups=tuple(rows for _, rows, _ in parts),
            angles=known.get("angles"),
            positions=known.get("positions"),
            cells=known.get("cells"),
            rngs=self._rngs(masked) if self.training else None,
        )
        outputs = self.encoder(torch.cat([x for x, _, _ in parts]), packing, layers=layers)
        num_prefix = self.encoder.config.num_prefix
        sizes = [rows.num_tokens + num_prefix * len(rows.lengths) for rows in packing.groups]
        per_group = zip(*(output.split(sizes) for output in outputs), strict=True)
        return [self._cut(*pair, output) for pair, output in zip(masked, per_group, strict=True)]

    def _assemble(self, view: View, plan: MaskPlan) -> tuple[Tensor, Rows, dict[str, Tensor]]:
        """Packed inputs of one group, its rows, and the fields of `Packing` that say where its
        tokens stand.
        """
        layout = view.layout
        visible = plan.packed_visible(layout.num_tokens)
        x, about = self._placed(self.contents(view.tokens, visible), layout, visible)
        if self.mask_token is None or not any(plan.num_predict):
            return x, Rows.of(plan.num_visible), about
        rows = Rows.of(plan.num_visible, plan.num_predict)
        hidden = plan.packed_predict(layout.num_tokens)
        masks = self.mask_token.expand(len(hidden), -1)
        masked, about_masked = self._placed(masks, layout, hidden)
        x = rows.join(x, masked.to(x.dtype))
        return x, rows, {key: rows.join(part, about_masked[key]) for key, part in about.items()}

    def _placed(
        self, x: Tensor, layout: Layout, packed: Int64[Tensor, " t"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Chosen tokens as they enter the first block, and what later blocks need to know."""
        config, positions = self.encoder.config, self.places(layout, packed)
        about: dict[str, Tensor] = {}
        if config.places_every_block:
            about["positions"] = positions
        else:
            x = x + positions
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
        rows = Rows.of((num_prefix,) * num_rows, plan.num_visible, num_predict)
        prefix, visible, predict = zip(*map(rows.split, outputs), strict=True)
        return Encoded(
            view=view,
            plan=plan,
            prefix=prefix,
            visible=visible,
            predict=predict,
            num_prefix=num_prefix,
            norm=self.encoder.norm,
        )


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
        """`packed` are indices into the samples' flattened (b n) sequence, as a plan packs them."""
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


class TransformerEncoder(nn.Module):
    """Prefix tokens, blocks and final norm of an `Encoder`.

    `num_relative`: entries of its blocks' bias tables (`RelativePlaces.num_entries`).
    """

    def __init__(self, config: Encoder, *, num_relative: int = 0) -> None:
        super().__init__()
        self.config = config
        self.prefix = (
            nn.Parameter(torch.empty(config.num_prefix, config.width))
            if config.num_prefix
            else None
        )
        if self.prefix is not None:
            nn.init.trunc_normal_(self.prefix, std=0.02)
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            build_block(
                config.style,
                config.width,
                config.num_heads,
                num_relative=num_relative if config.relative_bias is True else 0,
                drop_path=config.drop_path * layer / last,
                name=f"block {layer}",
            )
            for layer in range(config.depth)
        )
        shared = config.relative_bias == "shared"
        self.relative = (
            nn.Parameter(torch.zeros(num_relative, config.num_heads)) if shared else None
        )
        self.pre_norm = config.style.build_norm(config.width) if config.pre_norm else None
        self.norm = config.style.build_norm(config.width, weights=config.norm_weights)
        if config.init == "xavier":
            initialise(self.blocks)
        else:
            initialise_by_depth(list(self.blocks))

    def forward(
        self, x: Float[Tensor, "t d"], packing: Packing, *, layers: Sequence[int] = ()
    ) -> list[Float[Tensor, "s d"]]:
        """Packed tokens of all groups -> [normalised output, then the outputs of `layers`].

        Every row gets the prefix tokens in front, in the outputs too: s = t + prefixes.
        `layers` count blocks from the last (-1), before the first (-depth - 1) stands what enters
        it; their outputs are not normalised.
        """
        x, packing = self._add_prefix(x, packing)
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        if packing.cells is not None:
            packing = self._with_pairs(packing, packing.cells)
        numbers = [layer + len(self.blocks) for layer in layers]
        returned = dict.fromkeys(numbers)
        outputs: dict[int, Tensor] = {-1: x}
        for number, block in enumerate(self.blocks):
            if self.config.checkpoint_blocks and self.training:
                x = checkpoint(block, x, packing, use_reentrant=False)
            else:
                x = block(x, packing)
            if number in returned:
                outputs[number] = x
        return [self.norm(x), *(outputs[number] for number in numbers)]

    def _with_pairs(self, packing: Packing, cells: Tensor) -> Packing:
        """With the table entries of all pairs, or with their biases where blocks share a table."""
        per_group = cells.split([rows.num_tokens for rows in packing.groups])
        pairs = tuple(map(pair_entries, per_group, packing.groups))
        if self.relative is None:
            return replace(packing, pairs=pairs)
        return replace(packing, biases=tuple(look_up(self.relative, each) for each in pairs))

    def _add_prefix(self, x: Tensor, packing: Packing) -> tuple[Tensor, Packing]:
        """The prefix tokens in front of every row of every group."""
        if self.prefix is None:
            return x, packing
        num_prefix = self.config.num_prefix
        groups = [Rows.of((num_prefix,) * len(g.lengths), g.lengths) for g in packing.groups]
        sizes = [rows.num_tokens for rows in packing.groups]

        def put_before(prefix: Tensor, packed: Tensor) -> Tensor:
            parts = zip(groups, packed.split(sizes), strict=True)
            return torch.cat([g.join(prefix.repeat(len(g.lengths), 1), part) for g, part in parts])

        angles, positions, cells = packing.angles, packing.positions, packing.cells
        # Prefix tokens have no place: they are rotated by zero, and nothing is added to them.
        if angles is not None:
            angles = put_before(angles.new_zeros(num_prefix, angles.shape[1]), angles)
        if positions is not None:
            positions = put_before(positions.new_zeros(num_prefix, positions.shape[1]), positions)
        if cells is not None:
            cells = put_before(of_prefix(num_prefix, cells.device), cells)
        longer = replace(
            packing, groups=tuple(groups), angles=angles, positions=positions, cells=cells
        )
        return put_before(self.prefix.to(x.dtype), x), longer
