"""CSV as text: records whose cells keep their quotes, so that what is not changed stays as it is.

The standard library's reader forgets how a cell was quoted and how a line ended; here joining the
cells of all records gives the file back.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A quote that is never closed would make one cell of the rest of the file.
_MOST_LINES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One line of a table, or several where a quoted cell holds line ends.

    `cells`: with their quotes. `end`: "", or the characters that end the line. `closed`: False for
    a line whose quote is never closed.
    """

    cells: tuple[str, ...]
    end: str
    closed: bool = True

    def text(self, delimiter: str) -> str:
        """What the file holds."""
        return delimiter.join(self.cells) + self.end

    @property
    def is_blank(self) -> bool:
        return len(self.cells) == 1 and not self.cells[0].strip()


def read_records(lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Records of lines that have their ends, in order; a file opened with `newline=""` gives them.

    A line with a quote that is not closed within 200 lines is a record of its own.
    """
    patterns = _patterns(delimiter)
    source = iter(lines)
    ahead: deque[str] = deque()
    while True:
        text, used = "", 0
        record = None
        while record is None and used < _MOST_LINES:
            if used == len(ahead):
                line = next(source, None)
                if line is None:
                    break
                ahead.append(line)
            text += ahead[used]
            used += 1
            record = _scan(text, delimiter, patterns)
        if not ahead:
            return
        if record is None:
            used, line = 1, ahead[0]
            body = line.rstrip("\r\n")
            record = Record(cells=(body,), end=line[len(body) :], closed=False)
        for _ in range(used):
            ahead.popleft()
        yield record


def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A cell that starts with a quote, and any other. Possessive: a closed quote stays closed."""
    other = f"[^{re.escape(delimiter)}\r\n]*"
    return re.compile(f'"(?:[^"]|"")*+"{other}'), re.compile(other)


def _scan(
    text: str, delimiter: str, patterns: tuple[re.Pattern[str], re.Pattern[str]]
) -> Record | None:
    """The record, or None where a quote is still open."""
    cells, place = [], 0
    while True:
        found = patterns[0 if text.startswith('"', place) else 1].match(text, place)
        if found is None:
            return None
        cells.append(found.group())
        place = found.end()
        if not text.startswith(delimiter, place):
            return Record(cells=tuple(cells), end=text[place:])
        place += len(delimiter)


def content(cell: str) -> str:
    """What a cell says, without its quotes and the white space around it."""
    if cell.startswith('"'):
        end = cell.rfind('"')
        cell = cell[1:end].replace('""', '"') + cell[end + 1 :]
    return cell.strip()


def quoted(text: str, delimiter: str, *, like: str = "") -> str:
    """`text` as a cell, in quotes where it needs them or `like`, which it replaces, has some."""
    if like.startswith('"') or any(mark in text for mark in (delimiter, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text
