"""What is asked of a file whose gaps are filled, and what was done."""

from dataclasses import dataclass, field
from pathlib import Path

from modalities.tabular.imputing.draws import MaskDraws

_MOST_PROBLEMS = 1000  # that are remembered; all are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class ImputeFile:
    """`path` is filled into `out`. `keep`: columns that the run never saw and that stay as they
    are. `delimiter`: None finds it in the first line. `encoding`: of CSV files.
    """

    path: Path
    out: Path
    draws: MaskDraws = field(default_factory=MaskDraws)
    keep: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str = "utf-8"


@dataclass(kw_only=True, slots=True)
class Imputed:
    """What was done. `problems`: the first rows that could not be read as the table's, as (row
    from 1 below the header, reason); such a row, or such a cell of it, stays as it is.
    """

    out: Path
    uncertainty: Path
    table: str
    rows: int = 0
    filled: int = 0
    num_problems: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, row: int, reason: str) -> None:
        self.num_problems += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append((row, reason))
