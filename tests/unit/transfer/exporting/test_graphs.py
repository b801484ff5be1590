"""ONNX files and `torch.export` programs of toy encoders, from samples and from tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from omnimask import RecipeError
from omnimask.transfer.exporting import graph_inputs
from omnimask.transfer.exporting.features import own_features
from omnimask.transfer.exporting.graphs import run_onnx, run_program, write_onnx, write_program
from omnimask.transfer.pretrained_encoder import PretrainedEncoder
from tests.unit.export_cases import ENCODERS, Traced, scattered, traced_samples

if TYPE_CHECKING:
    import onnxruntime

SIZES = [(6, 8), (1, 8), (2, 5), (1, 2)]


def encoder_of(name: str) -> PretrainedEncoder:
    """Of one block: what is traced is traced anew in each block."""
    return scattered((Traced(),), replace(ENCODERS[name], depth=1))


@pytest.fixture(scope="module")
def encoder() -> PretrainedEncoder:
    return encoder_of("both")


@pytest.fixture(scope="module")
def written(encoder: PretrainedEncoder, tmp_path_factory) -> Path:
    """Both kinds of a graph that begins at samples."""
    folder = tmp_path_factory.mktemp("graphs")
    write_onnx(encoder, traced_samples(), folder)
    write_program(encoder, traced_samples(), folder)
    return folder


def session_of(folder: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    path = str(folder / "traced.onnx")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def cut(batch: int, length: int):
    """The last samples, so that the short one is among them."""
    whole = traced_samples().samples[-batch:]
    return [{"wave": sample["wave"][: 4 * length]} for sample in whole]


def check(pooled, encoder: PretrainedEncoder, samples) -> None:
    expected = encoder.embed([{"traced": sample} for sample in samples])
    torch.testing.assert_close(torch.as_tensor(pooled), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_onnx_takes_any_batch_and_length(
    encoder: PretrainedEncoder, written: Path, batch: int, length: int
):
    samples = cut(batch, length)
    inputs = graph_inputs(written, "traced", samples)
    feed = {name: part.numpy() for name, part in inputs.items()}
    check(session_of(written).run(["pooled"], feed)[0], encoder, samples)


@pytest.mark.parametrize(("batch", "length"), SIZES)
@torch.no_grad()
def test_a_program_takes_any_batch_and_length(
    encoder: PretrainedEncoder, written: Path, batch: int, length: int
):
    samples = cut(batch, length)
    program = torch.export.load(written / "traced.pt2").module()
    check(program(*graph_inputs(written, "traced", samples).values())[0], encoder, samples)


def test_axes_are_named_and_inputs_without_use_are_gone(written: Path):
    session = session_of(written)
    assert {part.name: (part.shape, part.type) for part in session.get_inputs()} == {
        "wave": (["batch", "length", 4], "tensor(float)"),
        "real": (["batch", "length"], "tensor(bool)"),
    }
    assert [part.name for part in session.get_outputs()] == ["pooled", "tokens"]


@pytest.mark.parametrize("run", [run_onnx, run_program])
def test_features_are_compared_together_alone_and_with_padding(
    encoder: PretrainedEncoder, written: Path, run
):
    samples = traced_samples()
    expected = own_features(encoder, samples)
    ways = run(encoder, samples, written)
    assert len(ways) == 3
    for features in ways:
        for name, part in features.items():
            torch.testing.assert_close(part, expected[name], atol=1e-5, rtol=1e-5)


STYLES = ["qk_norm", "swiglu", "every block"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in STYLES])
@torch.no_grad()
def test_onnx_of_every_kind_of_block_takes_tokens(name: str, tmp_path: Path):
    encoder, samples = encoder_of(name), traced_samples(start="tokens")
    write_onnx(encoder, samples, tmp_path)
    feed = {n: x.numpy() for n, x in graph_inputs(tmp_path, "traced", samples.samples).items()}
    assert list(feed) == ["values", "coords", "valid"]
    check(session_of(tmp_path).run(["pooled"], feed)[0], encoder, samples.samples)


def test_one_sample_is_enough_to_trace(tmp_path: Path):
    write_program(encoder_of("every block"), traced_samples(count=1), tmp_path)
    module = torch.export.load(tmp_path / "traced.pt2").module()
    several = graph_inputs(tmp_path, "traced", traced_samples().samples)
    assert len(module(*several.values())[0]) == 6


def test_a_graph_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"there is no .*other\.json; name the folder"):
        graph_inputs(tmp_path, "other", traced_samples().samples)
    (tmp_path / "other.json").write_text('{"name": "other"}')
    with pytest.raises(RecipeError, match=r"older export, whose graph takes tokens.*export again"):
        graph_inputs(tmp_path, "other", traced_samples().samples)
