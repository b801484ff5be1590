"""Which samples are learnt from, validated on and held out, and the numbers of their labels."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from omnimask.data.label_tables import cell, check_columns, read_table, row_of
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.foundation.rng import permutation
from omnimask.recipe.settings import Stream
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Labels
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.finetuning.tasks import Label, Task, Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class Readers:
    """The labelled samples of one stream."""

    train: StreamReader
    validation: StreamReader | None
    held_out: StreamReader


def fit_task(recipe: FinetuneRecipe) -> FinetuneRecipe:
    """The recipe with what the labels of all its training samples tell its task."""
    found = [_labels_of(recipe, stream, "files") for stream in recipe.data.streams]
    labels = [label for part in found for label in part.values()]
    task = recipe.task.fit(labels, _columns(recipe.labels))
    if isinstance(task, Segmentation) and task.needs_counts:
        task = task.weighed(_count_places(recipe, task))
    return replace(recipe, task=task)


def _count_places(recipe: FinetuneRecipe, task: Segmentation) -> list[int]:
    """The known places of each class in all training samples."""
    counts = torch.zeros(len(task.outputs), dtype=torch.int64)
    for stream in recipe.data.streams:
        files = {task.labels.name: stream.files[task.labels.name]}
        reader = StreamReader(stream, files, recipe)
        for index in range(len(reader)):
            classes = task.labels.classes(reader.held_out_group([index]).raw[task.labels.name])
            counts += classes[classes >= 0].bincount(minlength=len(counts))
    return counts.tolist()


def open_readers(recipe: FinetuneRecipe) -> list[Readers]:
    """By stream, with a fitted task. The same samples on every call.

    DataError where no sample has a label, or a held-out one a class that training does not have.
    """
    return [_open(recipe, stream) for stream in recipe.data.streams]


def _open(recipe: FinetuneRecipe, stream: Stream) -> Readers:
    assert stream.held_out is not None, "checked by FinetuneRecipe"
    train = _encode(recipe.task, _labels_of(recipe, stream, "files"), f"{stream.name}: training")
    held = _labels_of(recipe, stream, "held_out")
    held_out = _encode(recipe.task, held, f"{stream.name}: held-out")
    learnt, validated = choose(train, recipe, stream.name)
    return Readers(
        train=StreamReader(stream, stream.files, recipe, learnt),
        validation=StreamReader(stream, stream.files, recipe, validated) if validated else None,
        held_out=StreamReader(stream, stream.held_out, recipe, held_out),
    )


def choose(
    labels: Mapping[str, Vector], recipe: FinetuneRecipe, stream: str
) -> tuple[dict[str, Vector], dict[str, Vector]]:
    """The labels to learn from, and those to validate on.

    Every class gives `label_share` of its samples, rounded up; a larger share holds a smaller one.
    Of these `validation.share` is set aside, at least one where there are two. A sample of several
    classes counts among those of the rarest of them. Every class has a sample to learn from.
    """
    kinds = {name: recipe.task.kinds(vector) for name, vector in labels.items()}
    sizes = Counter(kind for found in kinds.values() for kind in found)
    strata: dict[int, list[str]] = {}
    for name, found in kinds.items():
        rarest = min(found, key=lambda kind: (sizes[kind], kind), default=0)
        strata.setdefault(rarest, []).append(name)
    learnt: dict[str, Vector] = {}
    validated: dict[str, Vector] = {}
    for stratum, names in sorted(strata.items()):
        order = permutation(len(names), recipe.seed, stream, "labels", stratum)
        # Rounded, since 0.1 * 30 is a little more than 3.
        count = math.ceil(round(recipe.label_share * len(names), 6))
        chosen = [names[i] for i in order[:count]]
        aside = 0
        if recipe.validation.share > 0.0 and count > 1:
            aside = min(max(round(recipe.validation.share * count), 1), count - 1)
        validated |= {name: labels[name] for name in chosen[:aside]}
        learnt |= {name: labels[name] for name in chosen[aside:]}
    for kind in sorted(sizes.keys() - strata.keys()):  # never a sample's rarest
        names = [name for name, found in kinds.items() if kind in found]
        name = names[permutation(len(names), recipe.seed, stream, "labels", kind)[0]]
        learnt[name] = labels[name]
        validated.pop(name, None)
    return learnt, validated


def _encode(task: Task, labels: Mapping[str, Label], what: str) -> dict[str, Vector]:
    encoded = {name: task.encode(label) for name, label in labels.items()}
    known = {name: vector for name, vector in encoded.items() if vector is not None}
    if not known:
        kind = "a class name" if task.reads_text else "a number"
        raise DataError(f"{what}: no sample has {kind} as its label; {len(labels)} were looked at")
    return known


def _columns(labels: Labels) -> tuple[str, ...]:
    return labels.columns if labels.table is not None else ("label",)


def _labels_of(recipe: FinetuneRecipe, stream: Stream, part: str) -> dict[str, Label]:
    """The label of each sample by its name; samples that a table does not name are left out."""
    files = stream.files if part == "files" else stream.held_out
    assert files is not None, "checked by FinetuneRecipe"
    reader = StreamReader(stream, files, recipe)
    labels = recipe.labels
    if labels.table is None:
        return {reader.name(i): (reader.label(i),) for i in range(len(reader))}
    held_out = part == "held_out" and labels.held_out_table is not None
    path = Path(recipe.data.root, str(labels.held_out_table) if held_out else labels.table)
    rows = read_label_table(path, labels, text=recipe.task.reads_text)
    found = {}
    for index in range(len(reader)):
        name = reader.name(index)
        row = row_of(rows, name)
        if row is not None:
            found[name] = row
    if not found:
        raise DataError(
            f"{path}: its column {labels.name_column!r} names not one of the {len(reader)} samples "
            f"of stream {stream.name}; a sample is called {reader.name(0)!r}, the first row "
            f"{next(iter(rows), None)!r}"
        )
    return found


def read_label_table(path: Path, labels: Labels, *, text: bool) -> dict[str, Label]:
    """Sample name -> labels, as text or as numbers; None where a cell is empty.

    DataError for a file that cannot be read, RecipeError for a column that it does not have.
    """
    table = read_table(path)
    check_columns(
        path,
        list(table),
        {"labels.name_column": (labels.name_column,), "labels.columns": labels.columns},
    )
    names = [str(name) for name in table[labels.name_column]]
    parts = [
        [cell(x, text=text, path=path) for x in table[name].tolist()] for name in labels.columns
    ]
    return dict(zip(names, zip(*parts, strict=True), strict=True))
