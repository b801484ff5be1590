"""What probes found: as records, as JSON, as a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnimask.training.checkpoint import write_json

if TYPE_CHECKING:
    from rich.table import Table

FORMAT = 1
JSON_NAME, TEXT_NAME = "probe.json", "probe.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeScore:
    """One probe of one layer on one stream's held-out samples.

    `measure`: "accuracy" (class names) or "R²" (numbers). `low` and `high` are the 95 % interval:
    over held-out samples, of few-shot probes over episodes. `random` has the same probe's value for
    every encoder with random weights; `chance` is the commonest training class's share of the
    held-out samples, for few-shot probes 1 / number of classes, for R² 0. `detail` says what the
    probe chose or was given.
    """

    stream: str
    probe: str
    layer: int
    measure: str
    value: float
    low: float
    high: float
    random: tuple[float, ...]
    chance: float
    num_train: int
    num_test: int
    num_classes: int
    detail: str

    @property
    def random_mean(self) -> float | None:
        return float(np.mean(self.random)) if self.random else None

    @property
    def random_deviation(self) -> float:
        return float(np.std(self.random, ddof=1)) if len(self.random) > 1 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResults:
    """All scores, and what is needed to make them again.

    `notes`: by stream, what was left out or should be known. `unreadable`: files that could not be
    read, with the error.
    """

    encoder: str
    encoder_hash: str
    origin: Mapping[str, str]
    settings: Mapping[str, Any]
    scores: tuple[ProbeScore, ...]
    notes: Mapping[str, tuple[str, ...]]
    unreadable: Mapping[str, str]
    versions: Mapping[str, str]
    hardware: Mapping[str, str]

    def score(self, stream: str, probe: str, layer: int = -1) -> ProbeScore:
        """KeyError where there is no such score; `probe` is "knn", "linear", "few-shot 5", ..."""
        for score in self.scores:
            if (score.stream, score.probe, score.layer) == (stream, probe, layer):
                return score
        raise KeyError(f"no score of {probe!r} at layer {layer} on {stream!r}")

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    def table(self) -> "Table":
        """For a rich console."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        title = f"probes of {self.encoder} ({self.encoder_hash}): accuracy, or R² where it says so"
        table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for name in ("data", "probe", "layer"):
            table.add_column(name)
        for name in ("value [95 %]", "random init", "chance", "train/test"):
            table.add_column(name, justify="right")
        before = None
        for score in self.scores:
            if before not in (None, score.stream):
                table.add_section()
            before = score.stream
            table.add_row(*_cells(score))
        return table

    def text(self) -> str:
        """The table and the notes, without colours."""
        from rich.console import Console

        buffer = StringIO()
        Console(file=buffer, width=140, color_system=None).print(self.table())
        return buffer.getvalue() + "\n".join(self.remarks()) + "\n"

    def remarks(self) -> list[str]:
        lines = [f"{stream}: {note}" for stream, notes in self.notes.items() for note in notes]
        if self.unreadable:
            first, error = next(iter(self.unreadable.items()))
            lines.append(
                f"{len(self.unreadable)} files could not be read, the first {first}: {error}"
            )
        return lines

    def write(self, folder: Path) -> Path:
        """Writes probe.json and probe.txt into `folder`; returns the JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / TEXT_NAME).write_text(self.text())
        write_json(folder / JSON_NAME, self.to_json())
        return folder / JSON_NAME


def _cells(score: ProbeScore) -> tuple[str, ...]:
    untrained = "-"
    if score.random_mean is not None:
        untrained = f"{score.random_mean:.3f} ± {score.random_deviation:.3f}"
    return (
        score.stream,
        score.probe if score.measure == "accuracy" else f"{score.probe} {score.measure}",
        str(score.layer),
        f"{score.value:.3f} [{score.low:.2f}, {score.high:.2f}]",
        untrained,
        f"{score.chance:.3f}",
        f"{score.num_train}/{score.num_test}",
    )
