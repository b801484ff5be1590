"""Cells in the units of the file: numbers, names of categories, dates as text."""

from datetime import datetime, timedelta

from modalities.tabular.schema import UNSEEN, Column

Readable = float | int | str | bool | None
_EPOCH = datetime(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = ((day - _EPOCH).days for day in (datetime.min, datetime.max))


def readable_cell(column: Column, number: float, code: float | int) -> Readable:
    """One cell from its standardised number and the code of its category."""
    if not column.is_number:
        if round(code) < 1:
            return UNSEEN
        name = column.categories[round(code) - 1]
        return name == "true" if column.kind == "boolean" else name
    return readable_number(column, number * column.scale + column.mean, whole=column.whole)


def readable_number(column: Column, value: float, *, whole: bool) -> Readable:
    """A number as such, rounded if `whole`, and a date (in days since 1970-01-01) as its text."""
    if column.kind == "date":
        return _date(value, whole=whole)
    return round(value) if whole else value


def _date(days: float, *, whole: bool) -> str:
    """A predicted date may lie outside of the calendar's years 1 to 9999; it is clamped to them."""
    days = min(max(days, _FIRST_DAY), _LAST_DAY)
    if whole:
        return (_EPOCH + timedelta(days=round(days))).date().isoformat()
    return (_EPOCH + timedelta(seconds=round(days * 86_400))).isoformat(sep=" ")
