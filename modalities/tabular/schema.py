"""What is known about a table's columns; fitted on training rows and saved in the recipe."""

from dataclasses import dataclass
from typing import Literal, get_args

from omnimask.foundation.errors import RecipeError

Kind = Literal["numeric", "boolean", "category", "date"]
KINDS: tuple[str, ...] = get_args(Kind)

Cell = bool | int | float | str  # one that is not missing

# Stands last in `categories` where training rows had more categories than `max_categories`.
RARE = "<rare>"
UNSEEN = "<unseen>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column. `mean`, `std`, `low` and `high` are in the file's units, or in days since
    1970-01-01 for dates, and are 0 for the other kinds. `whole`: every training value was a whole
    number (a date without a time of day). `categories`: the classes in the order of their codes,
    the commonest first, `RARE` last where it is needed; ("false", "true") for a boolean column.
    """

    name: str
    kind: Kind
    mean: float = 0.0
    std: float = 0.0
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RecipeError(
                f"column {self.name!r}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}"
            )

    @property
    def is_number(self) -> bool:
        """Whether a cell is predicted as a number; dates are."""
        return self.kind in ("numeric", "date")

    @property
    def scale(self) -> float:
        """What a cell is divided by: the deviation, or the size of a constant column's value."""
        if self.std > 1e-12 * abs(self.mean):
            return self.std
        return abs(self.mean) or 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table: its name is the stem of its files."""

    name: str
    columns: tuple[Column, ...]
