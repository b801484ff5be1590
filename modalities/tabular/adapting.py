"""The embedding of known columns for tables with other columns."""

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor

from modalities.tabular.schema import Column, Table
from omnimask.foundation.errors import RecipeError
from omnimask.network.resampling import State


def known_columns(old: Sequence[Table], new: Sequence[Table]) -> dict[int, int]:
    """Column number in `new` -> in `old`, of those that pretraining had: of the same name and
    kind, in the table of the same name or else in the only table that has such a column."""
    before = _numbered(old)
    found: dict[int, int] = {}
    for number, (table, column) in enumerate(_numbered(new)):
        alike = [
            (place, where)
            for place, (where, known) in enumerate(before)
            if (known.name, known.kind) == (column.name, column.kind)
        ]
        same_table = [place for place, where in alike if where == table]
        candidates = same_table or [place for place, _ in alike]
        if len(candidates) == 1:
            found[number] = candidates[0]
    return found


def columns_lines(name: str, old: Sequence[Table], new: Sequence[Table]) -> tuple[str, ...]:
    """What is kept and what is new; RecipeError if nothing is known."""
    if tuple(old) == tuple(new):
        return ()
    known, columns = known_columns(old, new), _numbered(new)
    if not known:
        raise RecipeError(
            f"{name}: pretraining knew none of the columns {_names(columns)}, only "
            f"{_names(_numbered(old))}; expected at least one of the same name and kind; rename "
            "columns, or pretrain on these tables"
        )
    fresh = [column for number, column in enumerate(columns) if number not in known]
    lines = [f"{name}: {len(known)} of {len(columns)} columns keep their embedding"]
    if fresh:
        lines.append(f"{name}: new columns with new embeddings: {_names(fresh)}")
    lines.append(f"{name}: means, deviations and categories are those of the new tables")
    return tuple(lines)


def adapt_cells(old: Sequence[Table], new: Sequence[Table], state: State, fresh: State) -> State:
    """The state of a `CellEmbedding`; categories are known by their words."""
    adapted = {name: value.clone() for name, value in fresh.items()}
    before, after = [c for _, c in _numbered(old)], [c for _, c in _numbered(new)]
    old_rows, new_rows = _first_rows(before), _first_rows(after)
    for number, was in known_columns(old, new).items():
        for name in ("weight", "bias"):
            adapted[name][number] = state[name][was]
        for code, word in enumerate(after[number].categories):
            if word in before[was].categories:
                row = old_rows[was] + before[was].categories.index(word)
                _categories(adapted)[new_rows[number] + code] = _categories(state)[row]
    return adapted


def _categories(state: State) -> Tensor:
    return state["categories"]


def _numbered(tables: Sequence[Table]) -> list[tuple[str, Column]]:
    return [(table.name, column) for table in tables for column in table.columns]


def _first_rows(columns: Sequence[Column]) -> list[int]:
    return [0, *accumulate(len(column.categories) for column in columns)]


def _names(columns: Sequence[tuple[str, Column]]) -> str:
    shown = [f"{table}.{column.name}" for table, column in columns[:6]]
    return ", ".join(shown) + (", ..." if len(columns) > 6 else "")
