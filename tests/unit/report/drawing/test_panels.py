"""Pictures cut out of drawings, and their places on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from omnimask.masking import Copies, PerModality, PredictShare, RandomMask, TubeMask
from omnimask.report.drawing.grid import Line, Section, grids
from omnimask.report.drawing.panels import (
    HIDDEN,
    MISSING,
    PREDICTED,
    VISIBLE,
    cut_panels,
    tint_predicted,
    token_squares,
    trim_margins,
)
from omnimask.report.drawing.sheet import Sheet, paint, save
from omnimask.report.drawing.words import masker_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 128, 0), (0, 0, 255)


def coloured_panels(rows: int, columns: int, colors: list[str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    for axes, color in zip(np.ravel(figure.subplots(rows, columns)), colors, strict=True):
        axes.set(facecolor=color, title="title", xlabel="below", ylabel="beside")
    figure.suptitle("above")
    return figure


def test_panels_are_cut_without_titles_ticks_and_colour_bars():
    figure = coloured_panels(1, 3, ["red", "green", "blue"])
    image = figure.axes[2].imshow([[1.0]], alpha=0.0)
    figure.colorbar(image, ax=figure.axes[2])
    panels = cut_panels(figure)
    assert panels is not None
    assert panels.framed
    for picture, color in zip(panels.pictures, (RED, GREEN, BLUE), strict=True):
        assert (picture[2:-2, 2:-2] == color).all()
        assert min(picture.shape[:2]) > 100


def test_rows_of_panels_are_strips():
    panels = cut_panels(coloured_panels(3, 2, ["red", "red", "green", "green", "blue", "blue"]))
    assert panels is not None
    for picture, color in zip(panels.pictures, (RED, GREEN, BLUE), strict=True):
        ours = (picture == color).all(axis=2)
        assert ours.mean() > 0.9
        assert ((picture == WHITE).all(axis=2) | ours)[2:-2, 2:-2].mean() > 0.98
        assert picture.shape[1] > 3 * picture.shape[0]


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_a_drawing_of_another_form_has_no_panels(columns: int):
    assert cut_panels(coloured_panels(1, columns, ["red"] * columns)) is None


def pixels(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array([colors], dtype=np.uint8)


def test_only_what_is_hidden_and_asked_is_tinted():
    hidden = pixels(HIDDEN, HIDDEN, HIDDEN, WHITE)
    visible = pixels(RED, HIDDEN, HIDDEN, WHITE)
    asked = pixels(RED, RED, HIDDEN, WHITE)
    tinted = tint_predicted(visible, asked, hidden)[0]
    assert tinted[0].tolist() == list(RED)
    assert tinted[2].tolist() == list(HIDDEN)
    assert tinted[3].tolist() == list(WHITE)
    assert tinted[1].tolist() == [round(0.3 * h + 0.7 * a) for h, a in zip(HIDDEN, PREDICTED)]


def test_a_square_says_what_became_of_its_token():
    flags = torch.tensor([[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [1, 1, 1, 0, 1]]).bool()
    page = token_squares(*flags)
    middles = page[13, 13::23]
    assert [tuple(middle) for middle in middles] == [VISIBLE, PREDICTED, HIDDEN, MISSING, VISIBLE]


def test_common_margins_go_and_what_any_picture_has_stays():
    pages = np.full((2, 40, 60, 3), 255, dtype=np.uint8)
    pages[0, 10, 20], pages[1, 30, 40] = 0, 0
    trimmed = trim_margins(list(pages))
    assert [picture.shape for picture in trimmed] == [(29, 29, 3)] * 2
    assert not trimmed[0][4, 4].any()
    assert not trimmed[1][24, 24].any()


def test_a_masker_is_told_with_its_fields_and_what_is_inside():
    mask = PredictShare(masker=Copies(masker=RandomMask(ratio=0.75), copies=2), share=1 / 3)
    expected = "PredictShare (share 0.333) of Copies (copies 2) of RandomMask (ratio 0.75)"
    assert masker_words(mask, "a") == expected
    mixed = PerModality(masks={"a": mask, "b": TubeMask(ratio=0.9, axis="t")})
    assert masker_words(mixed, "a") == expected
    assert masker_words(mixed, "b") == "TubeMask (ratio 0.9, axis t)"


def section_of(height: int, width: int, *, num_samples: int, squares: bool = False) -> Section:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    line = Line(label="a", samples=((picture,) * 3,) * num_samples)
    roles = ("original", "mask 1", "mask 2")
    return Section(heading="a", details=(), roles=roles, lines=(line,), squares=squares)


def test_pictures_stand_beside_one_another_and_flat_ones_below():
    first, second = grids(section_of(10, 10, num_samples=3))
    assert [len(row) for row in first.cells] == [6]
    assert [len(row) for row in second.cells] == [3]
    (flat,) = grids(section_of(10, 60, num_samples=2))
    assert flat.row_labels == ("original", "mask 1", "mask 2")
    assert [len(row) for row in flat.cells] == [2, 2, 2]
    (squares,) = grids(section_of(10, 60, num_samples=2, squares=True))
    assert [len(row) for row in squares.cells] == [6]


def test_a_sheet_keeps_to_its_width_and_shows_every_picture(tmp_path: Path):
    sheet = Sheet(title="a title", sections=(section_of(10, 10, num_samples=4),))
    page = np.asarray(paint(sheet, width=640))
    assert page.shape[1] <= 640
    dark = (page == 0).all(axis=2).sum()
    side = (640 - 2 * 16) / 6
    assert 12 * (0.85 * side) ** 2 < dark < 12 * side**2
    with Image.open(save(sheet, tmp_path / "new" / "sheet.png")) as image:
        assert image.format == "PNG"
