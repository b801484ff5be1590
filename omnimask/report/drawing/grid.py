"""Which picture stands where: a section's samples as grids of aligned cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from omnimask.report.drawing.panels import Pixels

_WIDE = 2.5  # a picture wider than this many heights stands above the next one, not beside it
_MOST_ACROSS = 6  # cells in a row
_WIDEST_ROW = 16.0  # of wide pictures, in heights


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One modality, or one stage of training: per sample, a picture for each of the roles."""

    label: str
    samples: tuple[tuple[Pixels, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Samples of one stream. Roles are what their pictures show: "original", "mask 1" and so on.

    `legend` has colours and what they mean. `squares` are pictures of tokens, which stay legible
    when they are flat.
    """

    heading: str
    details: tuple[str, ...]
    roles: tuple[str, ...]
    lines: tuple[Line, ...]
    legend: tuple[tuple[tuple[int, int, int], str], ...] = ()
    squares: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Cells by row and column; a wider gap stands after every `group` columns.

    `weights` are the columns' relative widths, `most_width` the widest that they may get together.
    """

    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    cells: tuple[tuple[Pixels, ...], ...]
    group: int
    weights: tuple[float, ...]
    most_width: int


def grids(section: Section) -> list[Grid]:
    """Roles side by side, samples below one another; wide pictures the other way round."""
    if not section.lines or not section.lines[0].samples:
        return []
    aspects = [max(map(aspect, line.samples[0])) for line in section.lines]
    wide = max(aspects) > _WIDE and len(section.roles) > 1 and not section.squares
    num_samples = len(section.lines[0].samples)
    if wide:
        at_once = max(int(_WIDEST_ROW // sum(aspects)), 1)
    else:
        at_once = max(_MOST_ACROSS // len(section.roles), 1) if len(section.roles) > 1 else 2
    make = _upright if wide else _level
    return [
        make(section, range(first, min(first + at_once, num_samples)))
        for first in range(0, num_samples, at_once)
    ]


def aspect(picture: Pixels) -> float:
    return picture.shape[1] / picture.shape[0]


def _level(section: Section, samples: Sequence[int]) -> Grid:
    cells = tuple(
        tuple(picture for sample in samples for picture in line.samples[sample])
        for line in section.lines
    )
    first = samples[0] == 0
    labels = section.roles if any(section.roles) and first else ()
    widest = 620 if len(section.roles) == 1 else 300 if section.squares else 200
    return Grid(
        row_labels=tuple(line.label for line in section.lines) if len(section.lines) > 1 else (),
        column_labels=labels * len(samples),
        cells=cells,
        group=len(section.roles),
        weights=(1.0,) * len(cells[0]),
        most_width=widest * len(cells[0]),
    )


def _upright(section: Section, samples: Sequence[int]) -> Grid:
    columns = [line.samples[sample] for sample in samples for line in section.lines]
    weights = tuple(aspect(column[0]) for column in columns)
    labels = tuple(line.label for line in section.lines) if len(section.lines) > 1 else ()
    return Grid(
        row_labels=section.roles,
        column_labels=labels * len(samples) if samples[0] == 0 else (),
        cells=tuple(zip(*columns, strict=True)),
        group=len(section.lines),
        weights=weights,
        most_width=round(90 * sum(weights)),
    )
