"""Self-attention among encoded tokens and mask tokens, each head within windows of its own size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan
from omnimask.network.blocks import Block, BlockStyle, Packing, check_heads
from omnimask.network.encoder import Encoded, Encoder, Places
from omnimask.network.initialisation import initialise
from omnimask.network.relative import RelativePlaces, pair_entries
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Rows, Span

Window = tuple[int, ...] | int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowDecoder:
    """A transformer in which two tokens see one another in a head if they share its window.

    `windows` has one entry for all heads, for each, or for equal shares of them in turn: sizes per
    axis of the grid, a length along the flattened grid, or None for all tokens of the row. Windows
    never join modalities, None does. With `shift`, for all axes or for each, every second block
    moves its windows by half their size, except on an axis no longer than the window.

    The defaults are AudioMAE's (https://arxiv.org/abs/2207.06405, section 3): windows of 4 by 4,
    16 blocks; the paper shifts both axes, the official code time alone, as here. MW-MAE
    (https://arxiv.org/abs/2306.00561, section 3) has, for 250 tokens, width=384, depth=4,
    num_heads=8, windows=(2, 5, 10, 25, 50, 125, None, None), shift=False.

    As in both, [CLS] and registers are left out. `relative_bias`: every head and block learns a
    bias for how far two tokens stand apart, along the axes of the grid where all windows are on
    them, else along the flattened tokens. AudioMAE's blocks have Swin v2's post-norm and cosine
    attention; here blocks are as `style` says, and places are in the tokens. Shifted windows are
    Swin's with its mask. Tokens neither visible nor predicted are absent, so windows may hold
    fewer. A dense call with a mask costs as much as global attention.
    """

    width: int = 512
    depth: int = 16
    num_heads: int = 16
    windows: tuple[Window, ...] = ((4, 4),)
    shift: bool | tuple[bool, ...] = (True, False)
    relative_bias: bool = False
    style: BlockStyle = field(default_factory=BlockStyle)

    def __post_init__(self) -> None:
        check_heads("decoder", self.width, self.num_heads)
        if not self.windows or self.num_heads % len(self.windows):
            raise RecipeError(
                f"WindowDecoder.windows must have a number of entries that divides num_heads="
                f"{self.num_heads}, got {len(self.windows)}; write one for all or one for each"
            )
        for window in self.windows:
            self._check_window(window)

    def _check_window(self, window: Window) -> None:
        sizes = window if isinstance(window, tuple) else (1 if window is None else window,)
        if not sizes or min(sizes) < 1:
            raise RecipeError(
                f"WindowDecoder.windows: sizes must be >= 1, got {window!r}; write None for the "
                "whole row"
            )
        if isinstance(self.shift, tuple) and (
            isinstance(window, int) or (window is not None and len(window) != len(self.shift))
        ):
            raise RecipeError(
                f"WindowDecoder.shift={self.shift} has one choice per axis, but windows has "
                f"{window!r}; write shift=True or shift=False"
            )

    @property
    def hidden(self) -> str:
        return "drop"

    def output_width(self, encoder: Encoder, /) -> int:
        return self.width

    def layers(self, encoder: Encoder, /) -> tuple[int, ...]:
        return ()

    def build(self, modalities: Sequence[Modality], encoder: Encoder, /) -> nn.Module:
        for window in self.windows:
            if isinstance(window, tuple):
                _check_grids(window, modalities)
        return _Windowed(self, modalities, encoder)


def _check_grids(window: tuple[int, ...], modalities: Sequence[Modality]) -> None:
    for modality in modalities:
        if modality.grid is None or len(modality.grid) != len(window):
            axes = "no grid" if modality.grid is None else f"axes {tuple(modality.grid)}"
            raise RecipeError(
                f"WindowDecoder.windows has {window}, but {modality.name} has {axes}; write a size "
                "for each axis, or a single number for a length of tokens"
            )


class _Windowed(nn.Module):
    def __init__(
        self, config: WindowDecoder, modalities: Sequence[Modality], encoder: Encoder
    ) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(encoder.width, config.width)
        self.places = Places(modalities, config.width)
        self.mask_token = nn.Parameter(torch.empty(config.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        flat = not all(isinstance(window, tuple) for window in config.windows)
        self.relative = RelativePlaces(modalities, flat=flat) if config.relative_bias else None
        num_relative = 0 if self.relative is None else self.relative.num_entries
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.style, num_relative=num_relative)
            for _ in range(config.depth)
        )
        self.norm = config.style.build_norm(config.width)
        initialise(self, exclude=[self.places])

    def forward(self, encoded: Encoded) -> Float[Tensor, "r n_predict d"]:
        layout, plan = encoded.layout, encoded.plan
        visible = self.project(encoded.visible[0]) + self.places(layout, encoded.packed_visible())
        masks = self.mask_token + self.places(layout, encoded.packed_predict())
        rows = Rows.of(plan.num_visible, plan.num_predict)
        x = rows.join(visible, masks.to(visible.dtype))
        still = Packing(
            groups=(rows,),
            allowed=self._allowed(layout, plan, shifted=False),
            pairs=self._pairs(encoded, rows),
        )
        moved = still
        if self.config.shift:
            moved = replace(still, allowed=self._allowed(layout, plan, shifted=True))
        for number, block in enumerate(self.blocks):
            x = block(x, moved if number % 2 else still)
        _, predict = rows.split(x)
        return Rows.of(plan.num_predict).unpack(self.norm(predict))

    def _pairs(self, encoded: Encoded, rows: Rows) -> tuple[Tensor, ...] | None:
        """For every query and key of a row, the entry of the bias tables."""
        if self.relative is None:
            return None
        cells = self.relative.of(encoded.layout).flatten(0, 1)
        of_tokens = (encoded.packed_visible(), encoded.packed_predict())
        return (pair_entries(rows.join(*(cells.index_select(0, ids) for ids in of_tokens)), rows),)

    def _allowed(
        self, layout: Layout, plan: MaskPlan, *, shifted: bool
    ) -> Bool[Tensor, "r heads n n"]:
        """Which tokens of a row, visible ones first, see one another."""
        windows, shift = self.config.windows, self.config.shift if shifted else False
        numbers = torch.stack([window_numbers(layout, w, shift=shift) for w in windows], dim=1)
        rows = Rows.of(plan.num_visible, plan.num_predict)
        ids = rows.join(
            Rows.of(plan.num_visible).pack(plan.visible_ids),
            Rows.of(plan.num_predict).pack(plan.predict_ids),
        )
        # Padding becomes window 0, which no real token has: it sees itself alone, never nothing.
        of_row = rows.unpack(1 + numbers.index_select(0, ids)).transpose(1, 2)
        if len(windows) > 1:
            of_row = of_row.repeat_interleave(self.config.num_heads // len(windows), dim=1)
        return of_row[:, :, :, None] == of_row[:, :, None, :]


def window_numbers(
    layout: Layout, window: Window, *, shift: bool | tuple[bool, ...]
) -> Int64[Tensor, " n"]:
    """For every token of the sequence the number, from 0, of the window it lies in."""
    parts, start = [], 0
    for span in layout.spans:
        numbers, count = _in_span(span, window, shift)
        parts.append(numbers + start)
        start += 0 if window is None else count
    return torch.cat(parts)


def _in_span(
    span: Span, window: Window, shift: bool | tuple[bool, ...]
) -> tuple[Int64[Tensor, " m"], int]:
    """The windows' numbers within one span, and a bound on them."""
    tokens = torch.arange(len(span), device=span.coords.device)
    if window is None:
        return torch.zeros_like(tokens), 1
    sizes, shape = (window,) if isinstance(window, int) else window, (len(span),)
    if isinstance(window, tuple):
        assert span.grid is not None, "build takes only modalities with a grid"
        shape = tuple(span.grid.values())
        assert math.prod(shape) == len(span), "tokens with a grid fill it in storage order"
    moves = shift if isinstance(shift, tuple) else (shift,) * len(sizes)
    numbers, stride = torch.zeros_like(tokens), len(span)
    for length, size, move in zip(shape, sizes, moves, strict=True):
        stride //= length
        offset = size - size // 2 if move and length > size else 0
        along = (tokens // stride % length + offset) // size
        numbers = numbers * (length // size + 2) + along
    return numbers, math.prod(length // size + 2 for length, size in zip(shape, sizes))
