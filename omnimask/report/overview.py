"""One picture with a row per modality, for a README."""

from collections.abc import Sequence
from io import BytesIO

from omnimask.report.pictures import Gallery

_WIDTH = 1170  # pixels of one column
_GAP = 26
_TITLE = 44


def overview_picture(galleries: Sequence[Gallery], *, columns: int = 2) -> bytes:
    """A PNG with the first picture of every modality, titled by its name.

    A modality of several streams appears once, from the first stream that shows it.
    """
    from PIL import Image, ImageDraw

    firsts: dict[str, bytes] = {}
    for gallery in galleries:
        if gallery.pictures and gallery.modality not in firsts:
            firsts[gallery.modality] = gallery.pictures[0].png
    cells = [_cell(name, png) for name, png in firsts.items()]
    columns = min(columns, len(cells)) or 1
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    size = (
        columns * _WIDTH + (columns + 1) * _GAP,
        sum(heights) + (len(rows) + 1) * _GAP if rows else _TITLE,
    )
    page = Image.new("RGB", size, "white")
    if not rows:
        ImageDraw.Draw(page).text((_GAP, 8), "no reconstructions: all targets are latent", "black")
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for number, cell in enumerate(row):
            page.paste(cell, (_GAP + number * (_WIDTH + _GAP), top))
        top += height + _GAP
    buffer = BytesIO()
    page.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _cell(name: str, png: bytes):
    """A modality's name above its picture, at the common width."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.open(BytesIO(png)).convert("RGB")
    height = round(picture.height * _WIDTH / picture.width)
    cell = Image.new("RGB", (_WIDTH, height + _TITLE), "white")
    draw = ImageDraw.Draw(cell)
    draw.text((4, 4), name, fill="#1f2937", font=ImageFont.load_default(size=26))
    draw.line([(0, _TITLE - 6), (_WIDTH, _TITLE - 6)], fill="#d1d5db", width=2)
    cell.paste(picture.resize((_WIDTH, height), Image.Resampling.LANCZOS), (0, _TITLE))
    return cell
