"""One row of a table: what it holds, what the encoder saw, and what was filled in."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from modalities.tabular.readable import Readable, readable_cell
from modalities.tabular.schema import UNSEEN, Column, Table
from modalities.tabular.values import CODE, NUMBER
from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

MOST_COLUMNS = 12  # of the figure; a row of more has them all in an HTML table
MOST_PAINTED = 32  # of the picture of tokens in colours
WORST_DEVIATIONS = 2.0  # an error of this many deviations, or a wrong category, is fully red

_GREY, _INK, _PALE = "#c8c8c8", "#1a1a1a", "#9a9a9a"
_GOOD, _MIDDLE, _BAD = (0xCD, 0xE8, 0xD0), (0xFB, 0xEE, 0xC4), (0xF3, 0xB9, 0xB0)
_HEADER = ("column", "original", "visible", "reconstruction", "error")
_LEFTS = (0.0, 0.33, 0.53, 0.73, 0.91)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """One column of the row. `badness`: 0 right to 1 wrong; None where nothing was predicted."""

    name: str
    original: str
    present: bool
    visible: bool
    filled: str
    error: str
    badness: float | None


def draw_row(
    table: Table,
    *,
    truth: Float[Tensor, "n v"],
    filled: Float[Tensor, "n v"],
    present: Bool[Tensor, " n"],
    visible: Bool[Tensor, " n"],
) -> Drawing:
    """A figure with a line per column; a table of many columns has them all in folded HTML."""
    of_cells = (part.tolist() for part in (truth, filled, present, visible))
    lines = [
        _line(column, known, guess, present=is_present, visible=is_visible)
        for column, known, guess, is_present, is_visible in zip(table.columns, *of_cells)
    ]
    num_present = sum(line.present for line in lines)
    title = f"{table.name}: {sum(line.visible for line in lines)} of {num_present} cells visible"
    folded = _html(title, lines) if len(lines) > MOST_COLUMNS else ""
    return Drawing(figure=_figure(title, lines), html=folded)


def paint_row(
    table: Table,
    truth: Float[Tensor, "n v"],
    colors: Float[Tensor, "k n 3"],
    titles: Sequence[str],
    *,
    present: Bool[Tensor, " n"],
) -> Figure:
    """A bar for each column of the row, at most `MOST_PAINTED`: its name and value under the first
    title, its colour under the others; a missing cell has none.
    """
    columns = table.columns[:MOST_PAINTED]
    figure, panels = easels(titles, aspect=min(0.13 * len(columns), 1.7))
    size = 7 if len(columns) <= MOST_COLUMNS else 5
    for (axes,) in panels:
        axes.set(xlim=(0, 1), ylim=(len(columns), 0))
        axes.set_frame_on(False)
    for number, column in enumerate(columns):
        known, is_present = truth[number].tolist(), bool(present[number])
        cell = _text(readable_cell(column, known[NUMBER], known[CODE])) if is_present else "–"
        text = f"{_shorten(column.name, 16)}: {_shorten(cell, 10)}"
        panels[0][0].text(0.0, number + 0.55, text, fontsize=size, va="center", parse_math=False)
        for (axes,), paint in zip(panels[1:], colors, strict=True):
            if is_present:
                color = tuple(paint[number].tolist())
                axes.add_patch(Rectangle((0, number + 0.05), 1, 0.9, color=color, linewidth=0))
    return figure


def _line(
    column: Column, truth: list[float], guess: list[float], *, present: bool, visible: bool
) -> _Line:
    original = readable_cell(column, truth[NUMBER], truth[CODE])
    filled = readable_cell(column, guess[NUMBER], guess[CODE])
    error, badness = "", None
    if present and not visible and original != UNSEEN:
        if column.is_number:
            deviations = abs(guess[NUMBER] - truth[NUMBER])
            error, badness = f"{deviations:.2g} σ", min(deviations / WORST_DEVIATIONS, 1.0)
        else:
            error, badness = ("wrong", 1.0) if filled != original else ("right", 0.0)
    return _Line(
        name=column.name,
        original=_text(original) if present else "missing",
        present=present,
        visible=visible,
        filled=_text(filled) if present else "",
        error=error,
        badness=badness,
    )


def _text(cell: Readable) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _color(badness: float) -> str:
    """Green over yellow to red."""
    low, high = (_GOOD, _MIDDLE) if badness < 0.5 else (_MIDDLE, _BAD)
    share = badness * 2 if badness < 0.5 else badness * 2 - 1
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high))


def _figure(title: str, lines: Sequence[_Line]) -> Figure:
    rows = lines[:MOST_COLUMNS]
    more = len(lines) - len(rows)
    height = len(rows) + 1 + bool(more)
    figure = Figure(figsize=(9.0, 0.45 + 0.235 * height), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(height, 0))
    axes.set_axis_off()
    axes.set_title(title, fontsize=10, loc="left", color=_INK)
    for left, name in zip(_LEFTS, _HEADER):
        axes.text(left + 0.008, 0.55, name, fontsize=8, weight="bold", va="center", color=_INK)
    axes.plot([0, 1], [1, 1], color=_INK, linewidth=0.8)
    for i, line in enumerate(rows):
        _draw_line(axes, line, i + 1)
    if more:
        axes.text(0.008, height - 0.45, f"and {more} more columns", fontsize=8, color=_PALE)
    return figure


def _draw_line(axes: Axes, line: _Line, top: int) -> None:
    texts = (
        _shorten(line.name, 34),
        line.original,
        line.original if line.visible else "",
        line.filled,
        line.error,
    )
    for place, text in enumerate(texts):
        left, right = _LEFTS[place], (*_LEFTS, 1.0)[place + 1]
        fill = None
        if place == 2 and line.present and not line.visible:
            fill = _GREY
        elif place in (3, 4) and line.badness is not None:
            fill = _color(line.badness)
        if fill:
            axes.add_patch(
                Rectangle((left, top + 0.06), right - left - 0.006, 0.88, color=fill, linewidth=0)
            )
        pale = (place == 3 and line.visible) or (place == 1 and not line.present)
        axes.text(
            left + 0.008,
            top + 0.54,
            text if place == 0 else _shorten(text, 19),
            fontsize=8,
            va="center",
            color=_PALE if pale else _INK,
            style="italic" if place == 1 and not line.present else "normal",
            parse_math=False,
        )


def _html(title: str, lines: Sequence[_Line]) -> str:
    head = "".join(f"<th style='text-align:left;padding:2px 10px'>{name}</th>" for name in _HEADER)
    body = "".join(_html_line(line) for line in lines)
    return (
        f"<details><summary>all {len(lines)} columns</summary>"
        "<table style='border-collapse:collapse;font:13px sans-serif'>"
        f"<caption style='text-align:left;padding:4px 10px'>{html.escape(title)}</caption>"
        f"<tr style='border-bottom:1px solid {_INK}'>{head}</tr>{body}</table></details>"
    )


def _html_line(line: _Line) -> str:
    hidden = f"background:{_GREY}" if line.present and not line.visible else ""
    colored = f"background:{_color(line.badness)}" if line.badness is not None else ""
    cells = (
        (line.name, ""),
        (line.original, "" if line.present else f"color:{_PALE};font-style:italic"),
        (line.original if line.visible else "", hidden),
        (line.filled, f"color:{_PALE}" if line.visible else colored),
        (line.error, colored),
    )
    return (
        "<tr>"
        + "".join(
            f"<td style='padding:2px 10px;{style}'>{html.escape(text)}</td>"
            for text, style in cells
        )
        + "</tr>"
    )
