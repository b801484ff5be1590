"""ONNX files and `torch.export` programs of toy encoders."""

from pathlib import Path

import onnxruntime
import pytest
import torch

from omnimask import RecipeError
from omnimask.exporting import graph_inputs
from omnimask.exporting.dense import DenseEncoder
from omnimask.exporting.graphs import write_onnx, write_program
from omnimask.modality import Draw
from tests.unit.export_cases import ENCODERS, scattered, toy_samples
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import TOYS

SIZES = [(6, 8), (1, 8), (2, 5), (1, 1)]


def run_onnx(path: Path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {name: part.numpy() for name, part in inputs.items()})
    return [torch.from_numpy(output) for output in outputs]


def cut(batch: int, length: int) -> dict[str, torch.Tensor]:
    tokens = toy_samples().tokens
    return {
        "values": tokens.values[:batch, :length].contiguous(),
        "coords": tokens.coords[:batch, :length].contiguous(),
        "valid": tokens.valid[:batch, :length].contiguous(),
    }


@pytest.mark.parametrize("name", ["both", "qk_norm", "swiglu"])
@torch.no_grad()
def test_onnx_takes_any_batch_and_length(name: str, tmp_path: Path):
    encoder = scattered(TOYS, ENCODERS[name])
    dense = DenseEncoder(encoder, "toy")
    write_onnx(encoder, TOYS[0], tmp_path)
    for batch, length in SIZES:
        inputs = cut(batch, length)
        found, expected = run_onnx(tmp_path / "toy.onnx", inputs), dense(**inputs)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["plain", "both"])
@torch.no_grad()
def test_a_program_takes_any_batch_and_length(name: str, tmp_path: Path):
    encoder = scattered(TOYS, ENCODERS[name])
    dense = DenseEncoder(encoder, "toy")
    write_program(encoder, TOYS[0], tmp_path)
    program = torch.export.load(tmp_path / "toy.pt2").module()
    for batch, length in SIZES:
        inputs = cut(batch, length)
        for a, b in zip(program(*inputs.values()), dense(**inputs), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_inputs_are_the_modalitys_tokens(tmp_path: Path):
    write_program(scattered(TOYS, ENCODERS["plain"]), TOYS[0], tmp_path)
    source = ToyFiles().open(".", TOYS[0])
    samples = [source.read(i, Draw(key=0, augment=False)) for i in (3, 4)]
    inputs = graph_inputs(tmp_path, "toy", samples)
    tokens = TOYS[0].split(TOYS[0].collate(samples))
    assert torch.equal(inputs["values"], tokens.values)
    assert torch.equal(inputs["valid"], tokens.valid)
    with pytest.raises(RecipeError, match=r"there is no .*other\.json; name the folder"):
        graph_inputs(tmp_path, "other", samples)
