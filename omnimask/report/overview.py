"""One picture with a row per modality, for a README."""

from collections.abc import Sequence
from io import BytesIO

from omnimask.report.pictures import Gallery

_WIDTH = 1170  # pixels of one column
_GAP = 26
_TITLE = 44


def overview_picture(galleries: Sequence[Gallery], *, columns: int = 2) -> bytes:
    """A PNG with one picture of every modality, titled by its name, in columns of even height.

    A modality of several streams appears once, from the first stream that shows it.
    """
    from PIL import Image, ImageDraw

    cells = [_cell(name, png) for name, png in _flattest(galleries).items()]
    heights = [_GAP] * columns
    places = []
    for cell in cells:
        column = heights.index(min(heights))
        places.append((_GAP + column * (_WIDTH + _GAP), heights[column]))
        heights[column] += cell.height + _GAP
    size = (columns * _WIDTH + (columns + 1) * _GAP, max(heights) if cells else _TITLE)
    page = Image.new("RGB", size, "white")
    if not cells:
        ImageDraw.Draw(page).text((_GAP, 8), "no reconstructions: all targets are latent", "black")
    for cell, place in zip(cells, places, strict=True):
        page.paste(cell, place)
    buffer = BytesIO()
    page.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _flattest(galleries: Sequence[Gallery]) -> dict[str, bytes]:
    """By modality, the picture that is lowest for its width; the first of equals."""
    from PIL import Image

    def height(png: bytes) -> float:
        with Image.open(BytesIO(png)) as image:
            return round(image.height / image.width, 2)

    found: dict[str, bytes] = {}
    for gallery in galleries:
        if gallery.pictures and gallery.modality not in found:
            found[gallery.modality] = min((p.png for p in gallery.pictures), key=height)
    return found


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
