"""Files of one JSON object per line, which runs append to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import DataError


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Appends one JSON line with a single write, so that lines are whole after a kill."""
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a JSON-lines file; none if there is no such file."""
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}: expected one JSON object per line, got {line[:60]!r}; "
                "remove that line"
            ) from error
    return entries
