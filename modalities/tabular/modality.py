"""TableCells: one token per cell of a table row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.tabular.adapting import adapt_cells, columns_lines, known_columns
from modalities.tabular.embedding import CellEmbedding
from modalities.tabular.encoding import encode_rows
from modalities.tabular.schema import Column, Table
from modalities.tabular.statistics import measure_tables
from modalities.tabular.values import CODE, COLUMN, NUM_VALUES, NUMBER
from omnimask.foundation.errors import RecipeError
from omnimask.network.positions import LearnedPosition
from omnimask.network.resampling import Resampled, State
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCells:
    """Rows of one or several tables, a token per cell (FT-Transformer, section 3.1 of
    https://arxiv.org/abs/2106.11959).

    `tables`: the schema and the statistics, or None to measure them. `max_categories`: the most
    categories of a column that keep a class of their own; the others share one.

    A token's values are its column's number (counted over all tables), the standardised number (0
    in a column of categories), the code of the category (from 1; 0 for one that training rows did
    not have, and in columns of numbers), the column's number of categories, and the smallest and
    largest number of its training rows, standardised (0 in a column of categories). A missing cell
    is a token that is neither valid nor scorable, and so is the padding of a table with fewer
    columns than the widest.
    """

    name: str = "table"
    max_categories: int = 64
    tables: tuple[Table, ...] | None = None

    def __post_init__(self) -> None:
        if self.max_categories < 1:
            raise RecipeError(f"max_categories must be 1 or more, got {self.max_categories}")

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all tables, one after the other; empty before `fit`."""
        return tuple(column for table in self.tables or () for column in table.columns)

    @property
    def grid(self) -> Grid | None:
        return None

    @property
    def num_tokens(self) -> int:
        """The columns of the widest table; 0 before `fit`."""
        return max((len(table.columns) for table in self.tables or ()), default=0)

    @property
    def num_values(self) -> int:
        return NUM_VALUES

    @property
    def extent(self) -> tuple[float, ...]:
        return (float(max(len(self.columns), 1)),)

    def fit(self, source: Source, /) -> "TableCells":
        if self.tables is not None:
            return self
        return replace(self, tables=measure_tables(source, max_categories=self.max_categories))

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """Per cell (b n): `column`, `number`, `code`, `num_categories`, `low` and `high`, as in a
        token's values, and `present`, False for a missing cell and for padding. On the host:
        `num_present` and the place of each row's `table` in `tables`.
        """
        return encode_rows(self._fitted(), samples, width=self.num_tokens)

    def split(self, raw: Raw, /) -> Tokens:
        present, counts = tensor_of(raw, "present"), integers_of(raw, "num_present")
        names = ("column", "number", "code", "num_categories", "low", "high")
        parts = [tensor_of(raw, name).to(torch.float32) for name in names]
        return Tokens(
            values=torch.stack(parts, dim=-1),
            coords=parts[COLUMN][:, :, None],
            valid=present,
            scorable=present,
            num_valid=counts,
            num_scorable=counts,
            grid=None,
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """Exact; what a cell's column is and whether it is present comes from `raw`."""
        code = values[..., CODE].round().long()
        return {**raw, "number": values[..., NUMBER], "code": code}

    def embed(self, dim: int, /) -> CellEmbedding:
        self._fitted()
        return CellEmbedding(dim, self.columns)

    def position(self, dim: int, /) -> LearnedPosition:
        """A learned vector per column."""
        self._fitted()
        return LearnedPosition(dim, sizes=(len(self.columns),))

    def continued_from(self, old: Modality, /) -> tuple["TableCells", tuple[str, ...]]:
        """With pretraining's tables where it has none of its own."""
        assert isinstance(old, TableCells), "adapt compares the types"
        if self.tables is None:
            return replace(self, tables=old.tables), ()
        return self, columns_lines(self.name, old._fitted(), self._fitted())

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, TableCells), "adapt compares the types"
        return Resampled(state=adapt_cells(old._fitted(), self._fitted(), state, fresh))

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """A known column keeps its vector; a new one begins with a new one."""
        assert isinstance(old, TableCells), "adapt compares the types"
        if not state:
            return Resampled(state=state)
        table = fresh["tables.0"].clone()
        for new_id, old_id in known_columns(old._fitted(), self._fitted()).items():
            table[new_id] = state["tables.0"][old_id]
        return Resampled(state={"tables.0": table})

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        from modalities.tabular.pictures import draw_row

        return draw_row(
            self._fitted()[integers_of(raw, "table")[index]],
            truth=self.split(raw).values[index],
            filled=filled[index],
            present=tensor_of(raw, "present")[index],
            visible=visible[index],
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The row's cells, one below the other, and their colours."""
        from modalities.tabular.pictures import paint_row

        table = self._fitted()[integers_of(raw, "table")[index]]
        present = tensor_of(raw, "present")[index].cpu()
        truth = self.split(raw).values[index].cpu()
        return paint_row(table, truth, colors, titles, present=present)

    def _fitted(self) -> tuple[Table, ...]:
        if self.tables is None:
            raise RecipeError(
                f"the columns of {self.name!r} are not known yet; call fit on the training rows "
                "first, or give TableCells(tables=...)"
            )
        return self.tables
