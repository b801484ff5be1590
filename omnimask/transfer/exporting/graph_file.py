"""`<modality>.json` beside a graph: its inputs, and the tokenizer that makes them of samples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import dump, load
from omnimask.tokens.modality import Modality, Sample
from omnimask.training.checkpoint import write_json
from omnimask.transfer.exporting.front import Start, front_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphInput:
    """`shape` has numbers, and "batch" and "length" where an axis may be of any length; `dtype` is
    torch's name of the type.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(map(str, self.shape))}) {self.dtype}"


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphFile:
    """What `<modality>.json` holds; statistics of the modality included."""

    start: Start
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    modality: Modality


def describe(inputs: Mapping[str, Tensor], *, free_length: bool) -> tuple[GraphInput, ...]:
    """Axis 0 is the batch, axis 1 the length where it is free."""
    free = ("batch", "length") if free_length else ("batch",)
    return tuple(
        GraphInput(
            name=name,
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=(*free, *tensor.shape[len(free) :])[: tensor.dim()],
        )
        for name, tensor in inputs.items()
    )


def write_graph_file(graph: GraphFile, folder: Path) -> None:
    write_json(folder / f"{graph.modality.name}.json", dump(graph))


def read_graph_file(folder: Path | str, modality: str) -> GraphFile:
    """RecipeError where the folder has no such graph."""
    path = Path(folder, f"{modality}.json")
    if not path.exists():
        raise RecipeError(
            f"there is no {path.absolute()}; name the folder of an export and one of "
            "the modalities in it"
        )
    found = load(json.loads(path.read_text()), str(path))
    if not isinstance(found, GraphFile):
        raise RecipeError(
            f"{path} is of an older export, whose graph takes tokens; expected the inputs of the "
            "graph; export again"
        )
    return found


def graph_inputs(folder: Path | str, modality: str, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """What the exported graph of a modality takes of samples as its reader returns them, by name
    and in order. RecipeError where the folder has no such graph.
    """
    graph = read_graph_file(folder, modality)
    return front_of(graph.modality, graph.start).inputs(samples)
