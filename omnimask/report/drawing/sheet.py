"""A sheet: sections of pictures under a title, painted at one width and saved as a PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.report.drawing.grid import Grid, Section, aspect, grids

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_MARGIN, _SPACE, _GAP, _GROUP_GAP, _ROW_GAP = 16, 18, 5, 18, 5
_TITLE, _HEADING, _TEXT = 22, 16, 13
_INK, _SOFT, _FRAME = "#111827", "#4b5563", "#d1d5db"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """An empty title is left out; `note` stands below it."""

    title: str
    sections: tuple[Section, ...]
    note: str = ""


def save(sheet: Sheet, path: Path) -> Path:
    """Writes a PNG, with the folders above it, and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    paint(sheet).save(path, format="PNG", optimize=True)
    return path


def paint(sheet: Sheet, *, width: int = 1300) -> "Image":
    """The sheet at most `width` pixels wide; no wider than its pictures need."""
    inner = width - 2 * _MARGIN
    bodies = [[_grid(grid, inner) for grid in grids(section)] for section in sheet.sections]
    used = max((image.width for body in bodies for image in body), default=0)
    used = min(max(used, 520), inner)
    parts = [_words(sheet.title, used, size=_TITLE, bold=True)] if sheet.title else []
    if sheet.note:
        parts.append(_words(sheet.note, used, size=_TEXT))
    for section, body in zip(sheet.sections, bodies, strict=True):
        head = [_words(section.heading, used, size=_HEADING, bold=True)] if section.heading else []
        head += [_words(text, used, size=_TEXT, color=_SOFT) for text in section.details]
        if section.legend:
            head.append(_legend(section, used))
        parts.append(_stack([*head, *body], gap=7))
    return _stack(parts, gap=_SPACE, margin=_MARGIN)


def _grid(grid: Grid, width: int) -> "Image":
    from PIL import Image, ImageDraw

    font = _font(_TEXT)
    gutter = max((round(font.getlength(label)) + 10 for label in grid.row_labels), default=0)
    count = len(grid.weights)
    breaks = [_GROUP_GAP if (i + 1) % grid.group == 0 else _GAP for i in range(count - 1)]
    room = min(width - gutter - sum(breaks), grid.most_width)
    widths = [max(int(room * weight / sum(grid.weights)), 1) for weight in grid.weights]
    lefts = [gutter + sum(widths[:i]) + sum(breaks[:i]) for i in range(count)]
    heights = [
        max(round(size / aspect(cell)) for size, cell in zip(widths, row, strict=True))
        for row in grid.cells
    ]
    top = _TEXT + 8 if grid.column_labels else 0
    size = (lefts[-1] + widths[-1], top + sum(heights) + _ROW_GAP * (len(heights) - 1))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for left, size, label in zip(lefts, widths, grid.column_labels):
        draw.text((left + size / 2, 1), _fit(label, size), fill=_SOFT, font=font, anchor="ma")
    for row, height in enumerate(heights):
        if grid.row_labels:
            place = (gutter - 8, top + height / 2)
            draw.text(place, grid.row_labels[row], fill=_SOFT, font=font, anchor="rm")
        for left, size, cell in zip(lefts, widths, grid.cells[row], strict=True):
            picture = Image.fromarray(cell).resize((size, height), Image.Resampling.LANCZOS)
            page.paste(picture, (left, top))
            draw.rectangle((left, top, left + size - 1, top + height - 1), outline=_FRAME)
        top += height + _ROW_GAP
    return page


def _fit(label: str, width: int) -> str:
    """The label, or as much of its end as there is room for: the number matters."""
    font = _font(_TEXT)
    while label and font.getlength(label) > width and " " in label:
        label = label.partition(" ")[2]
    return label


def _words(text: str, width: int, *, size: int, bold: bool = False, color: str = _INK) -> "Image":
    """Text in as many lines as it takes."""
    from PIL import Image, ImageDraw

    font = _font(size, bold=bold)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    pitch = round(size * 1.35)
    page = Image.new("RGB", (width, pitch * len(lines)), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(page).text((0, number * pitch), line, fill=color, font=font)
    return page


def _legend(section: Section, width: int) -> "Image":
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (width, _TEXT + 6), "white")
    draw, font, left = ImageDraw.Draw(page), _font(_TEXT), 0
    for color, meaning in section.legend:
        draw.rectangle((left, 3, left + _TEXT - 1, 2 + _TEXT), fill=color, outline=_FRAME)
        draw.text((left + _TEXT + 6, 2), meaning, fill=_SOFT, font=font)
        left += _TEXT + 6 + round(font.getlength(meaning)) + 20
    return page


def _stack(images: Sequence["Image"], *, gap: int, margin: int = 0) -> "Image":
    from PIL import Image

    width = max(image.width for image in images) + 2 * margin
    height = sum(image.height for image in images) + gap * (len(images) - 1) + 2 * margin
    page = Image.new("RGB", (width, height), "white")
    top = margin
    for image in images:
        page.paste(image, (margin, top))
        top += image.height + gap
    return page


@lru_cache
def _font(size: int, *, bold: bool = False) -> "FreeTypeFont":
    """Matplotlib brings its fonts along, so that a sheet looks the same everywhere."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), size)
