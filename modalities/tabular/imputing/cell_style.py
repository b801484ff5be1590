"""How a file writes the cells of a column, so that filled ones look like their neighbours."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modalities.tabular.imputing.columns import Reading
from modalities.tabular.readable import readable_number
from modalities.tabular.readers.kinds import DECLARED_BOOLEANS
from modalities.tabular.schema import Cell, Column, Table

_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.(\d*))?")
_PAIRS = {"true": "false", "yes": "no", "1": "0", "t": "f", "y": "n"}
_OTHER = {**_PAIRS, **{no: yes for yes, no in _PAIRS.items()}}
_DIGITS = 6  # of a number where the file has none to go by


@dataclass(slots=True, kw_only=True)
class CellStyle:
    """What was seen of one column's texts in one file; `learn` adds to it.

    `decimals`: the most digits after a point, None before any number. `date_format`: a declared
    pattern of strptime, "" for ISO 8601.
    """

    column: Column
    date_format: str = ""
    decimals: int | None = None
    scientific: bool = False
    with_t: bool = False
    truths: Counter[str] = field(default_factory=Counter)

    def learn(self, words: Iterable[str]) -> None:
        """From the texts of observed cells."""
        if self.column.kind == "numeric":
            for word in words:
                found = _PLAIN_NUMBER.fullmatch(word)
                if found is None:
                    self.scientific = True
                else:
                    self.decimals = max(self.decimals or 0, len(found.group(1) or ""))
        elif self.column.kind == "boolean":
            self.truths.update(word for word in words if word.lower() in DECLARED_BOOLEANS)
        elif self.column.kind == "date":
            self.with_t = self.with_t or any("T" in word for word in words)

    def write(self, value: Cell) -> str:
        """A filled cell as text; a category is its own name, a date ISO 8601 unless declared."""
        column = self.column
        if isinstance(value, str):
            return value
        if column.kind == "boolean":
            return self._truth(bool(value))
        if column.kind == "date":
            return self._date(float(value))
        return self._number(float(value))

    def _number(self, value: float) -> str:
        if self.decimals is None or self.scientific:
            if self.column.whole:
                return str(round(value))
            return f"{value:.{_DIGITS}g}"
        written = f"{value:.{self.decimals}f}"
        return written.removeprefix("-") if float(written) == 0 else written

    def _truth(self, value: bool) -> str:
        """The file's commonest word for it, or what goes with its word for the opposite."""
        for word, _ in self.truths.most_common():
            if (DECLARED_BOOLEANS[word.lower()] == 1.0) == value:
                return word
        for word, _ in self.truths.most_common(1):
            return _cased_like(word, _OTHER[word.lower()])
        return "true" if value else "false"

    def _date(self, days: float) -> str:
        if self.date_format:
            moment = datetime(1970, 1, 1) + timedelta(days=days)
            return moment.strftime(self.date_format)
        text = str(readable_number(self.column, days, whole=self.column.whole))
        return text.replace(" ", "T") if self.with_t else text


def _cased_like(word: str, other: str) -> str:
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[:1].isupper() else other


def styles_of(table: Table, reading: Reading) -> dict[str, CellStyle]:
    return {
        column.name: CellStyle(
            column=column, date_format=reading.date_format(table.name, column.name)
        )
        for column in table.columns
    }
