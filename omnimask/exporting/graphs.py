"""ONNX files and `torch.export` programs: graphs of the dense encoder, one per modality."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from omnimask.checkpoint import write_json
from omnimask.errors import RecipeError
from omnimask.exporting.dense import DenseEncoder
from omnimask.exporting.features import Features, RealSamples
from omnimask.modality import Modality, Sample
from omnimask.pretrained import PretrainedEncoder
from omnimask.records import from_json, to_json
from omnimask.tokens import Tokens

INPUTS = ("values", "coords", "valid")
# A protobuf file ends at 2 GiB; beyond this the weights go into a file of their own beside it.
_MOST_BYTES_INSIDE = 1_500_000_000


def graph_inputs(folder: Path | str, modality: str, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """What the exported graph of a modality takes: `values` (b n v), `coords` (b n c) and `valid`
    (b n) of samples as its reader returns them. RecipeError where the folder has no such graph.
    """
    path = Path(folder, f"{modality}.json")
    if not path.exists():
        raise RecipeError(
            f"there is no {path.absolute()}; name the folder of an export and one of "
            "the modalities in it"
        )
    record = from_json(json.loads(path.read_text()))
    return _inputs_of(record.split(record.collate(samples)))


def _inputs_of(tokens: Tokens) -> dict[str, Tensor]:
    return {
        "values": tokens.values,
        "coords": tokens.coords.contiguous(),
        "valid": tokens.valid.contiguous(),
    }


def _write_modality(modality: Modality, folder: Path) -> None:
    write_json(folder / f"{modality.name}.json", to_json(modality))


def write_onnx(encoder: PretrainedEncoder, modality: Modality, folder: Path) -> None:
    """`<modality>.onnx` with the axes "batch" and "length" dynamic, and `<modality>.json`."""
    _write_modality(modality, folder)
    dense = DenseEncoder(encoder, modality.name)
    size = sum(p.numel() * p.element_size() for p in dense.parameters())
    with warnings.catch_warnings():
        # Inside torch: a deprecated call of its own, and that the inputs share their axes' names.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*treespec, LeafSpec")
        warnings.filterwarnings("ignore", message="# The axis name: ")
        torch.onnx.export(
            dense,
            _example(modality),
            folder / f"{modality.name}.onnx",
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(dense.output_names),
            dynamic_shapes=_dynamic(),
            external_data=size > _MOST_BYTES_INSIDE,
            verbose=False,
        )


def run_onnx(
    encoder: PretrainedEncoder, modality: Modality, folder: Path, samples: RealSamples
) -> list[Features]:
    """Of onnxruntime on the CPU: all samples in one batch, and each in one of its own."""
    import onnxruntime

    path = str(folder / f"{modality.name}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = DenseEncoder(encoder, modality.name).output_names

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        feed = {name: tensor.numpy() for name, tensor in zip(INPUTS, inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in session.run(list(names), feed))

    return _each_way(run, names, samples)


def write_program(encoder: PretrainedEncoder, modality: Modality, folder: Path) -> None:
    """`<modality>.pt2` with a dynamic batch and length, and `<modality>.json`."""
    _write_modality(modality, folder)
    dense = DenseEncoder(encoder, modality.name)
    program = torch.export.export(dense, _example(modality), dynamic_shapes=_dynamic())
    torch.export.save(program, folder / f"{modality.name}.pt2")


@torch.no_grad()
def run_program(
    encoder: PretrainedEncoder, modality: Modality, folder: Path, samples: RealSamples
) -> list[Features]:
    """Of the program in its file: all samples in one batch, and each in one of its own."""
    module = torch.export.load(folder / f"{modality.name}.pt2").module()
    return _each_way(module, DenseEncoder(encoder, modality.name).output_names, samples)


def _example(modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
    """Two rows of three tokens: sizes that are neither 0 nor 1, which tracing takes for fixed."""
    return (
        torch.zeros(2, 3, modality.num_values),
        torch.zeros(2, 3, len(modality.extent)),
        torch.ones(2, 3, dtype=torch.bool),
    )


def _dynamic() -> dict[str, dict[int, torch.export.Dim]]:
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    return {name: {0: batch, 1: length} for name in INPUTS}


def _each_way(
    run: Callable[..., tuple[Tensor, ...]], names: tuple[str, ...], samples: RealSamples
) -> list[Features]:
    inputs = tuple(_inputs_of(samples.tokens).values())
    together = run(*inputs)
    alone = [run(*(part[i : i + 1] for part in inputs)) for i in range(len(samples))]
    joined = [torch.cat(parts) for parts in zip(*alone, strict=True)]
    return [dict(zip(names, outputs, strict=True)) for outputs in (together, joined)]
