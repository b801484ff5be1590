"""ONNX files and `torch.export` programs: graphs of the dense encoder, one per modality."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from omnimask.transfer.exporting.dense import DenseEncoder
from omnimask.transfer.exporting.features import Features, RealSamples
from omnimask.transfer.exporting.front import front_of
from omnimask.transfer.exporting.graph_file import GraphFile, describe, write_graph_file
from omnimask.transfer.modality_hooks import GraphFront
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

# A protobuf file ends at 2 GiB; beyond this the weights go into a file of their own beside it.
_MOST_BYTES_INSIDE = 1_500_000_000
_LONGER = 3  # padding that the check adds, where a graph takes any length

Inputs = Mapping[str, Tensor]
Run = Callable[[Inputs], tuple[Tensor, ...]]


class GraphEncoder(nn.Module):
    """The inputs of a graph, in order -> the outputs of `DenseEncoder`."""

    def __init__(self, dense: DenseEncoder, front: GraphFront, names: Sequence[str]) -> None:
        super().__init__()
        self.dense, self.front, self.names = dense, front, tuple(names)
        self.training = dense.training

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.dense(*self.front.tokens(dict(zip(self.names, inputs, strict=True))))


def write_onnx(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> None:
    """`<modality>.onnx` with the axes "batch" and "length" dynamic, and `<modality>.json`."""
    program, graph = _trace(encoder, samples)
    write_graph_file(graph, folder)
    size = sum(part.numel() * part.element_size() for part in program.state_dict.values())
    names = tuple(
        {axis: name for axis, name in enumerate(part.shape) if isinstance(name, str)}
        for part in graph.inputs
    )
    with warnings.catch_warnings():
        # Inside torch: a deprecated call of its own, and that the inputs share their axes' names.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*treespec, LeafSpec")
        warnings.filterwarnings("ignore", message="# The axis name: ")
        torch.onnx.export(
            program,
            f=folder / f"{graph.modality.name}.onnx",
            dynamo=True,
            input_names=[part.name for part in graph.inputs],
            output_names=list(graph.outputs),
            dynamic_shapes={"inputs": names},
            external_data=size > _MOST_BYTES_INSIDE,
            verbose=False,
        )


def run_onnx(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> list[Features]:
    """Of onnxruntime on the CPU: in one batch, one by one, and with padding where it may be."""
    import onnxruntime

    modality = samples.modality
    path = str(folder / f"{modality.name}.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = DenseEncoder(encoder, modality.name).output_names

    def run(inputs: Inputs) -> tuple[Tensor, ...]:
        feed = {name: tensor.numpy() for name, tensor in inputs.items()}
        return tuple(torch.from_numpy(output) for output in session.run(list(names), feed))

    return _each_way(run, names, samples)


def write_program(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> None:
    """`<modality>.pt2` with a dynamic batch and length, and `<modality>.json`."""
    program, graph = _trace(encoder, samples)
    write_graph_file(graph, folder)
    torch.export.save(program, folder / f"{graph.modality.name}.pt2")


@torch.no_grad()
def run_program(encoder: PretrainedEncoder, samples: RealSamples, folder: Path) -> list[Features]:
    """Of the program in its file, in the ways of `run_onnx`."""
    modality = samples.modality
    module = torch.export.load(folder / f"{modality.name}.pt2").module()
    names = DenseEncoder(encoder, modality.name).output_names
    return _each_way(lambda inputs: module(*inputs.values()), names, samples)


@torch.no_grad()
def _trace(encoder: PretrainedEncoder, samples: RealSamples) -> tuple[ExportedProgram, GraphFile]:
    modality = samples.modality
    front, dense = front_of(modality, samples.start), DenseEncoder(encoder, modality.name)
    inputs = front.inputs(samples.samples)
    graph = GraphFile(
        start=samples.start,
        inputs=describe(inputs, free_length=front.free_length),
        outputs=dense.output_names,
        modality=modality,
    )
    # A graph that takes groups of neighbours has a shortest length, which only tracing finds.
    sizes = {"batch": Dim("batch", min=1), "length": Dim.DYNAMIC}
    dynamic = tuple(
        {axis: sizes[name] for axis, name in enumerate(part.shape) if isinstance(name, str)}
        for part in graph.inputs
    )
    program = torch.export.export(
        GraphEncoder(dense, front, tuple(inputs)),
        tuple(_example(part, front) for part in inputs.values()),
        dynamic_shapes={"inputs": dynamic},
    )
    return program, graph


def _example(part: Tensor, front: GraphFront) -> Tensor:
    """Two rows. Tracing takes sizes of 0 and 1 for fixed, and a length of two for the batch's."""
    rows = part[:2] if len(part) > 1 else part.repeat(2, *(1,) * (part.dim() - 1))
    return _longer(rows, by=2) if front.free_length else rows


def _longer(part: Tensor, *, by: int) -> Tensor:
    """With so much padding along axis 1, where there is one."""
    if part.dim() < 2:
        return part
    return torch.cat([part, part.new_zeros(len(part), by, *part.shape[2:])], dim=1)


def _each_way(run: Run, names: tuple[str, ...], samples: RealSamples) -> list[Features]:
    front = front_of(samples.modality, samples.start)
    inputs = front.inputs(samples.samples)
    together = run(inputs)
    alone = [
        run({name: part[i : i + 1] for name, part in inputs.items()}) for i in range(len(samples))
    ]
    ways = [together, tuple(torch.cat(parts) for parts in zip(*alone, strict=True))]
    if front.free_length:
        padded = run({name: _longer(part, by=_LONGER) for name, part in inputs.items()})
        num_tokens = together[1].shape[1]
        ways.append((padded[0], padded[1][:, :num_tokens], *padded[2:]))
    return [dict(zip(names, outputs, strict=True)) for outputs in ways]
