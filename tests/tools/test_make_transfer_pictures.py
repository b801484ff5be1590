"""The pictures of docs/transfer.md, from encoders that have learned nothing."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from omnimask.commands.pretrain import train
from omnimask.report.drawing.sheet import paint
from recipes import mae
from tools import make_transfer_pictures as pictures


@pytest.fixture
def run(sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on images alone."""
    monkeypatch.setattr(pictures, "SAMPLES", sample_data)
    monkeypatch.setattr(pictures, "FOLDERS", {"image": "images"})
    monkeypatch.setattr(pictures, "QUERIES", ("images/held_out/digit-3/*",))
    monkeypatch.setattr(pictures, "HIDDEN", {"image": pictures.HIDDEN["image"]})
    recipe = mae.debug()
    data = replace(recipe.data, root=str(sample_data))
    recipe = replace(recipe, data=data, run=replace(recipe.run, report=False))
    train(recipe, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_search_map_and_completions_are_small_pictures_without_machine_paths(
    run: Path, tmp_path: Path, sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("search", "map", "completions")
    assert pictures.main([str(run), str(tmp_path / "out"), "--only", *names]) == 0
    assert capsys.readouterr().out.count(" bytes") == 3
    for name in names:
        path = tmp_path / "out" / f"{name}.png"
        assert path.stat().st_size <= pictures.MOST_BYTES
        with Image.open(path) as picture:
            assert picture.width >= 500
    sheet = pictures.search_picture(run, pictures.embedded(run, tmp_path / "f.parquet"))
    (section,) = sheet.sections
    assert section.heading.startswith("held_out/digit-3/digit-3-0")
    assert str(sample_data.parent) not in repr([section.heading, section.roles, section.details])
    assert section.roles[0] == "query"
    assert len(section.roles) == 6


def test_only_what_is_hidden_is_another_in_the_completed_picture(run: Path) -> None:
    (section,) = pictures.completions_picture(run).sections
    ((original, seen, completed),) = section.lines[0].samples
    differs = (original != seen).any(axis=2)
    middle = tuple(slice(size // 2 - 2, size // 2 + 2) for size in differs.shape)
    assert differs[middle].all()
    assert 0.02 < differs.mean() < 0.4
    # Interpolation blurs the border of what is hidden.
    changed = np.abs(original.astype(int) - completed).max(axis=2) > 16
    assert changed[differs].mean() > 0.5
    assert changed[~differs].mean() < 0.01


def test_tokens_in_ranges_are_valid_ones_by_their_own_extent() -> None:
    coords = torch.tensor([[10.0], [12.0], [14.0], [16.0], [90.0]])
    valid = torch.tensor([True, True, True, True, False])
    found = pictures.in_ranges(coords, ((0.5, 1.0),), valid)
    assert found.tolist() == [False, False, True, True, False]


def png(shade: int, size: tuple[int, int] = (40, 40)) -> str:
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), shade, dtype=np.uint8)).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_mistakes_stand_beside_the_matrix(tmp_path: Path) -> None:
    figure = (
        f'<figure><img src="{png(100)}" alt="a"><figcaption>cat &lt;1&gt;, taken for dog (9%) · '
        "a.png</figcaption></figure>"
    )
    page = f'<img src="{png(50, (80, 100))}" alt="confusion matrix">{figure * 3}'
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text(page)
    shown = np.asarray(pictures.finetune_picture(tmp_path))
    left, right = shown[:, : shown.shape[1] // 3], shown[:, -300:]
    assert (left == 50).all(axis=2).any()
    assert (right == 100).all(axis=2).any()
    assert not (right == 50).all(axis=2).any()


def test_a_sheet_of_nothing_but_a_heading_can_be_painted() -> None:
    assert paint(pictures._titled("Confusion matrix", [], [])).height < 100
