"""The contract of a modality and its files, on real files."""

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnimask.foundation.errors import DataError
from omnimask.foundation.records import from_json, is_record, to_json
from omnimask.foundation.trust import trust
from omnimask.tokens.modality import Drawing, Files, Modality, Sample, Source, Visit
from omnimask.tokens.tokens import Raw, Tokens

_DIM = 32


def check_modality(
    modality: Modality, files: Files, root: Path, *, compared: Mapping[str, float]
) -> None:
    """Reads the files below `root` (at least four, not all alike) and checks what pretraining,
    reports and probes rely on.

    `compared`: the largest difference that each entry of a batch may have after `split` and `join`.
    """
    for record in (modality, files):
        check_record(record)
    source = files.open(str(root), modality)
    _check_source(source, files, root, modality)
    fitted = modality.fit(source)
    check_record(fitted)
    assert fitted.fit(source) == fitted, "fit of a fitted record must give itself"
    samples = [source.read(i, Visit(key=i, augment=False)) for i in range(len(source))]
    raw = fitted.collate(samples)
    tokens = fitted.split(raw)
    _check_tokens(fitted, tokens, len(samples))
    _check_alone(fitted, samples, tokens)
    _check_join(fitted, raw, tokens, compared)
    _check_modules(fitted, tokens)
    _check_drawing(fitted, raw, tokens)
    _check_no_files(files, root / "there-is-no-such-folder", fitted)


def check_record(record: object) -> None:
    """A frozen dataclass that comes back from JSON as it was."""
    kind = type(record)
    assert is_record(record), f"{kind.__name__} must be a dataclass"
    assert kind.__dataclass_params__.frozen, f"{kind.__name__} must be @dataclass(frozen=True)"  # pyright: ignore[reportAttributeAccessIssue] a dataclass has them
    trust(kind.__module__)
    back = from_json(json.loads(json.dumps(to_json(record))))
    assert back == record, f"{kind.__name__} differs after JSON: {record} became {back}"


def _check_source(source: Source, files: Files, root: Path, modality: Modality) -> None:
    assert len(source) >= 4, f"the test needs at least four samples, got {len(source)}"
    names = [source.name(i) for i in range(len(source))]
    assert len(set(names)) == len(names), f"names of samples must differ, got {names}"
    assert not any(str(root) in name for name in names), "names are paths below the root"
    again = files.open(str(root), modality)
    assert [again.name(i) for i in range(len(again))] == names, "names and order must be stable"
    one = source.read(0, Visit(key=7))
    assert _same(one, source.read(0, Visit(key=7))), "the same key must read the same sample"
    centre = source.read(0, Visit(key=1, augment=False))
    other = source.read(0, Visit(key=2, augment=False))
    assert _same(centre, other), "without augmentation the key must not matter"
    sent = pickle.loads(pickle.dumps(source))
    assert _same(sent.read(0, Visit(key=7)), one), "a loader's worker must read the same"
    before = torch.get_rng_state(), list(np.random.get_state(legacy=True))
    source.read(1, Visit(key=3))
    after = torch.get_rng_state(), list(np.random.get_state(legacy=True))
    assert _same(before, after), "draw random numbers from visit.generator() only"


def _check_tokens(modality: Modality, tokens: Tokens, count: int) -> None:
    size = (count, modality.num_tokens)
    assert tokens.values.shape == (*size, modality.num_values), (
        f"values must be {(*size, modality.num_values)}, got {tuple(tokens.values.shape)}"
    )
    assert tokens.coords.shape == (*size, len(modality.extent)), (
        f"coords must be {(*size, len(modality.extent))}, got {tuple(tokens.coords.shape)}"
    )
    assert tokens.values.isfinite().all(), "values must be finite, of padding too"
    assert tokens.coords.isfinite().all(), "coords must be finite, of padding too"
    assert min(tokens.num_valid) > 0, "every sample must have a valid token"
    assert (tokens.grid is None) == (modality.grid is None), "split must give the record's grid"


def _check_alone(modality: Modality, samples: Sequence[Sample], tokens: Tokens) -> None:
    alone = modality.split(modality.collate(samples[:1]))
    valid = tokens.valid[0]
    assert torch.equal(alone.valid[0], valid), "a sample alone must have the tokens of the batch"
    torch.testing.assert_close(alone.values[0][valid], tokens.values[0][valid])
    torch.testing.assert_close(alone.coords[0][valid], tokens.coords[0][valid])


def _check_join(
    modality: Modality, raw: Raw, tokens: Tokens, compared: Mapping[str, float]
) -> None:
    joined = modality.join(tokens.values, raw)
    empty = modality.join(torch.zeros_like(tokens.values), raw)
    assert compared, "name at least one entry of the batch to compare"
    for entry, tolerance in compared.items():
        before, after = raw[entry], joined[entry]
        assert isinstance(before, Tensor), f"{entry} is no tensor"
        assert isinstance(after, Tensor), f"{entry} is no tensor after join"
        gap = (after.double() - before.double()).abs().nan_to_num().max().item()
        assert gap <= tolerance, f"join(split) changes {entry} by {gap:.3g}, not {tolerance:.3g}"
    assert any(not _same(empty[entry], raw[entry]) for entry in compared), (
        "join must take the content from the values, not from raw"
    )


def _check_modules(modality: Modality, tokens: Tokens) -> None:
    values, coords = tokens.values[tokens.valid].float(), tokens.coords[tokens.valid].float()
    for name, module, given in (
        ("embed", modality.embed(_DIM), values),
        ("position", modality.position(_DIM), coords),
    ):
        every = module(given)
        assert every.shape == (len(given), _DIM), f"{name}(dim) must map (k, v) to (k, dim)"
        some = torch.arange(len(given) - 1, -1, -2)
        torch.testing.assert_close(
            module(given[some]),
            every[some],
            atol=1e-4,
            rtol=1e-4,
            msg=lambda text, name=name: f"{name} must not mix tokens: {text}",
        )
        module(given[:0])
    embed = modality.embed(_DIM)
    (embed(values) * torch.randn(len(values), _DIM)).sum().backward()
    silent = [name for name, weight in embed.named_parameters() if weight.grad is None]
    assert not silent, f"no gradient reaches {silent} of embed"


def _check_drawing(modality: Modality, raw: Raw, tokens: Tokens) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawing = modality.draw(raw, visible=tokens.valid, filled=tokens.values.float(), index=0)
    assert isinstance(drawing, Drawing), "draw must give a Drawing"
    FigureCanvasAgg(drawing.figure).print_png(io.BytesIO())


def _check_no_files(files: Files, absent: Path, modality: Modality) -> None:
    said = ""
    try:
        files.open(str(absent), modality)
    except DataError as error:
        said = str(error)
    assert absent.name in said, (
        f"open must raise DataError naming the folder where there is none, said {said!r}"
    )


def _same(a: Any, b: Any) -> bool:
    """Whether two samples, or parts of them, are identical; NaN equals NaN."""
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Tensor):
        return _same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b) or bool(a != a and b != b)
