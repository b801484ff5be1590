"""What every folder of `modalities/` must keep to: embedding, position, pictures, bad files."""

import io
from pathlib import Path

import pytest
import torch
from torch import Tensor

from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Drawing, Visit
from tests.modalities.case import Case
from tests.modalities.conftest import Opened

DIM = 32


def valid_values(opened: Opened) -> Tensor:
    return opened.tokens.values[opened.tokens.valid]


def some_of(length: int) -> Tensor:
    """Every third id, from the last to the first: a subset in another order."""
    return torch.arange(length - 1, -1, -3)


# Embedding and position


def test_embed_works_on_any_subset_and_never_mixes_tokens(opened: Opened) -> None:
    torch.manual_seed(0)
    embed, values = opened.modality.embed(DIM), valid_values(opened)
    ids = some_of(len(values))
    every = embed(values)
    assert every.shape == (len(values), DIM)
    assert every.isfinite().all()
    torch.testing.assert_close(embed(values[ids]), every[ids], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(embed(values[:1]), every[:1], atol=1e-4, rtol=1e-4)


def test_embed_tells_contents_apart(opened: Opened) -> None:
    torch.manual_seed(0)
    values = valid_values(opened)
    embedded = opened.modality.embed(DIM)(values)
    changed = (values - values[:1]).abs().sum(dim=1) > 1e-3
    assert changed.any(), "the case's valid tokens all have the same values"
    assert ((embedded - embedded[:1]).abs().sum(dim=1)[changed] > 0).all()


def test_gradient_reaches_every_parameter_of_embed(opened: Opened) -> None:
    torch.manual_seed(0)
    embed = opened.modality.embed(DIM)
    out = embed(valid_values(opened))
    (out * torch.randn_like(out)).sum().backward()
    silent = [name for name, p in embed.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent, f"no gradient reaches {silent}"
    assert all(p.grad is not None and p.grad.isfinite().all() for p in embed.parameters())


def test_embed_of_no_tokens_uses_every_parameter(opened: Opened) -> None:
    """A masker may hide a whole modality; DDP then still needs a gradient for its weights."""
    embed = opened.modality.embed(DIM)
    out = embed(valid_values(opened)[:0])
    assert out.shape == (0, DIM)
    out.sum().backward()
    unused = [name for name, p in embed.named_parameters() if p.grad is None]
    assert not unused, f"not part of the graph: {unused}"


def test_embed_works_under_bf16_autocast(opened: Opened) -> None:
    embed = opened.modality.embed(DIM)
    with torch.autocast("cpu", torch.bfloat16):
        out = embed(valid_values(opened))
    assert out.isfinite().all()


def test_position_is_finite_for_any_subset(opened: Opened) -> None:
    torch.manual_seed(0)
    position = opened.modality.position(DIM)
    coords = opened.tokens.coords[opened.tokens.valid]
    ids = some_of(len(coords))
    every = position(coords)
    assert every.shape == (len(coords), DIM)
    assert every.isfinite().all()
    torch.testing.assert_close(position(coords[ids]), every[ids], atol=1e-4, rtol=1e-4)
    assert position(coords[:0]).shape == (0, DIM)


def test_position_tells_places_apart(opened: Opened) -> None:
    torch.manual_seed(0)
    coords = opened.tokens.coords[0][opened.tokens.valid[0]]
    placed = opened.modality.position(DIM)(coords)
    elsewhere = (coords - coords[:1]).abs().sum(dim=1) > 1e-3
    assert elsewhere.any(), "all tokens of a sample have the same coords"
    assert ((placed - placed[:1]).abs().sum(dim=1)[elsewhere] > 0).all()


# Pictures


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["none shown", "half shown", "all shown"])
def test_draw_gives_a_figure(opened: Opened, share: float) -> None:
    from matplotlib import get_backend, pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tokens = opened.tokens
    positions = torch.arange(tokens.valid.shape[1]) % 10
    shown = tokens.valid & (positions < 10 * share)
    noise = torch.randn(tokens.values.shape, generator=torch.Generator().manual_seed(0))
    filled = torch.where(shown[:, :, None], tokens.values, tokens.values + 0.1 * noise)
    for index in (0, len(opened.samples) - 1):
        drawing = opened.modality.draw(opened.raw, visible=shown, filled=filled, index=index)
        assert isinstance(drawing, Drawing)
        assert isinstance(drawing.figure, Figure)
        FigureCanvasAgg(drawing.figure).print_png(io.BytesIO())
    assert not pyplot.get_fignums(), f"build Figure(...) without pyplot ({get_backend()})"


# What cannot be read


def test_a_bad_file_is_named_in_a_data_error(opened: Opened, tmp_path: Path) -> None:
    case = opened.case
    assert len(case.bad_files) >= 2, "the case must list bad files"
    wrong = []
    for what, write in case.bad_files.items():
        folder = tmp_path / what.replace("/", "_")
        folder.mkdir()
        path = write(folder)
        try:
            source = case.files.open(str(folder), opened.modality)
            for index in range(len(source)):
                source.read(index, Visit(key=0))
        except DataError as error:
            if path.relative_to(folder).as_posix() not in str(error):
                wrong.append(f"{what}: the message does not name {path.name}: {error}")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__} instead of DataError: {error}")
        else:
            wrong.append(f"{what}: was read without an error")
    assert not wrong, "\n" + "\n".join(wrong)


def test_a_folder_without_samples_is_named(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened.case.files.open(str(tmp_path), opened.modality)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_folder_is_named(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened.case.files.open(str(tmp_path / "absent"), opened.modality)
    assert "absent" in str(caught.value)


def test_case_is_for_this_folder(case: Case, folder: str) -> None:
    assert type(case.modality).__module__.startswith(f"modalities.{folder}")
    assert type(case.files).__module__.startswith(f"modalities.{folder}")
