"""Relative position bias: what attention adds for how far two cells of a grid stand apart."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from omnimask.network.positions import interpolate_rows
from omnimask.network.trained_axis import axes_of
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Rows

# Entries before those of the grids: pairs without a distance (of two modalities, or of one without
# a grid), then query and key of which the first, the second or both are prefix tokens.
APART, FROM_PREFIX, TO_PREFIX, OF_PREFIX = range(4)
NUM_COMMON = 4
_PREFIX = -1  # in the place of a modality's first entry


class RelativePlaces:
    """Which entry of a bias table holds for each pair of tokens of a row.

    BEiT, https://arxiv.org/abs/2106.08254, section 2.1, after Swin,
    https://arxiv.org/abs/2103.14030, equation 4: one learned number per head for each distance
    between two cells of a modality's grid, per axis and signed. Here one table serves all
    modalities: `NUM_COMMON` entries, then for each with a grid the product of (2 n - 1) over its
    axes, in the order of `modalities`. `flat` numbers tokens in their sequence instead, as if on
    one axis, with or without a grid.
    """

    def __init__(self, modalities: Sequence[Modality], *, flat: bool = False) -> None:
        self.flat = flat
        self.starts: dict[str, int] = {}
        self.sizes: dict[str, tuple[int, ...]] = {}
        self.num_entries = NUM_COMMON
        for modality in modalities:
            if flat or modality.grid is not None:
                grid = {} if modality.grid is None else modality.grid
                sizes = (modality.num_tokens,) if flat else tuple(grid.values())
                self.starts[modality.name], self.sizes[modality.name] = self.num_entries, sizes
                self.num_entries += math.prod(distances(sizes))

    def of(self, layout: Layout) -> Int64[Tensor, "b n 2"]:
        """Per token: the table index for distance zero (0 without a grid), and its cell's number,
        counted so that the difference of two numbers says how far their cells stand apart."""
        parts = [self.of_coords(span.modality, span.coords) for span in layout.spans]
        return torch.cat(parts, dim=1)

    def part(self, table: Float[Tensor, "e heads"], modality: str) -> Float[Tensor, "f heads"]:
        """The entries of one modality with a grid, a view of the table."""
        start = self.starts[modality]
        return table[start : start + math.prod(distances(self.sizes[modality]))]

    def of_coords(self, modality: str, coords: Float[Tensor, "b n c"]) -> Int64[Tensor, "b n 2"]:
        """The same for tokens of one modality."""
        cell = torch.zeros_like(coords[:, :, 0], dtype=torch.int64)
        itself = 0
        if modality in self.sizes:
            sizes = self.sizes[modality]
            if self.flat:
                numbers = torch.arange(coords.shape[1], device=coords.device)
                coords = numbers[None, :, None].expand(coords.shape[0], -1, -1)
            for axis, size in enumerate(sizes):
                place = coords[:, :, axis].round().long().clamp(0, size - 1)
                cell = cell * (2 * size - 1) + place
                itself = itself * (2 * size - 1) + size - 1
            itself += self.starts[modality]
        return torch.stack([torch.full_like(cell, itself), cell], dim=2)


def distances(sizes: Sequence[int]) -> tuple[int, ...]:
    """How many signed distances two cells can have along each axis of a grid."""
    return tuple(2 * size - 1 for size in sizes)


def of_prefix(count: int, device: torch.device) -> Int64[Tensor, "p 2"]:
    """[CLS] and registers, in the form of `RelativePlaces.of`."""
    return torch.full((count, 2), _PREFIX, dtype=torch.int64, device=device)


def pair_entries(cells: Int64[Tensor, "t 2"], rows: Rows) -> Int64[Tensor, "r n n"]:
    """The entry for each pair (query, key) within the rows of one group, padded to the longest."""
    return padded_entries(rows.unpack(cells))


def padded_entries(cells: Int64[Tensor, "r n 2"]) -> Int64[Tensor, "r n n"]:
    """The entry for each pair (query, key) within rows of one length."""
    itself, cell = cells.unbind(2)
    query, key = itself[:, :, None], itself[:, None, :]
    entry = query + cell[:, :, None] - cell[:, None, :]
    entry = torch.where((query == key) & (query > 0), entry, APART)
    entry = torch.where(query == _PREFIX, FROM_PREFIX, entry)
    entry = torch.where(key == _PREFIX, TO_PREFIX, entry)
    return torch.where((query == _PREFIX) & (key == _PREFIX), OF_PREFIX, entry)


def look_up(
    table: Float[Tensor, "e heads"], entries: Int64[Tensor, "r n m"]
) -> Float[Tensor, "r heads n m"]:
    """The bias of every pair and head."""
    return F.embedding(entries, table).permute(0, 3, 1, 2)


def carry_tables(
    weights: Mapping[str, Tensor], old: Sequence[Modality], new: Sequence[Modality]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`weights` with the bias tables of an encoder of `old` modalities made those of one of `new`
    modalities, and a line for each that was changed. A new modality's entries are zero.
    """
    before, after = RelativePlaces(old), RelativePlaces(new)
    carried = dict(weights)
    lines: dict[str, None] = {}
    for name, table in weights.items():
        if name.endswith((".attn.relative", ".encoder.relative")):
            fresh = table.new_zeros(after.num_entries, table.shape[1])
            fresh[:NUM_COMMON] = table[:NUM_COMMON]
            for modality in new:
                if modality.name in before.sizes and modality.name in after.sizes:
                    was = next(m for m in old if m.name == modality.name)
                    part = _resample(before.part(table, modality.name), was, modality)
                    after.part(fresh, modality.name).copy_(part)
                    if was.grid != modality.grid:
                        lines[f"{modality.name}: bias of distances read between old cells"] = None
            carried[name] = fresh
    return carried, tuple(lines)


def _resample(
    table: Float[Tensor, "e heads"], old: Modality, new: Modality
) -> Float[Tensor, "f heads"]:
    """The entries of one modality for other cells.

    Distances are measured in old cells and read between two of them linearly; those beyond what
    pretraining saw get the farthest one's. BEiT's code spaces its reading points geometrically.
    """
    assert old.grid is not None, "only modalities with a grid have entries"
    assert new.grid is not None
    if old.grid == new.grid:
        return table
    grids = (old.grid, new.grid)
    axes = [axes_of(getattr(m, "axes", None), grid) for m, grid in zip((old, new), grids)]
    rows = table.unflatten(0, distances(tuple(grids[0].values())))
    for axis, (was, becomes) in enumerate(zip(*axes, strict=True)):
        old_size, size = (tuple(grid.values())[axis] for grid in grids)
        step = becomes.step / was.step
        apart = torch.arange(1 - size, size, device=table.device) * step + (old_size - 1)
        moved = rows.movedim(axis, 0)
        read = interpolate_rows(moved.flatten(1), apart).unflatten(1, moved.shape[1:])
        rows = read.movedim(0, axis)
    return rows.flatten(0, -2)
