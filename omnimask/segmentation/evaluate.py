"""Scores and pictures of the held-out samples."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from omnimask.batch import Group
from omnimask.checkpoint import write_json
from omnimask.data import StreamReader
from omnimask.segmentation.model import SegmentationModel
from omnimask.segmentation.scores import (
    categories,
    confusion,
    part_iou,
    part_scores,
    scores,
    within_category,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluate(model: SegmentationModel, out: Path, *, step: int) -> str:
    """Writes `segmentation.json` and `segmentation.png`; returns a line of the numbers.

    Scores are of every held-out sample, of training samples where there are none held out.
    """
    result = score(model)
    write_json(out / "segmentation.json", {"step": step, **result})
    figure = draw(model, num_samples=model.recipe.run.report_samples)
    figure.savefig(out / "segmentation.png", dpi=120)
    line = f"step {step}: mean IoU {result['mean_iou']:.3f}, accuracy {result['accuracy']:.3f}"
    if "parts" in result:
        parts = result["parts"]
        line += f", parts by instance {parts['instance_mean_iou']:.3f}"
        line += f", by category {parts['category_mean_iou']:.3f}"
    return f"{line} ({result['samples']} {result['split']} samples)"


@torch.no_grad()
def score(model: SegmentationModel) -> dict[str, Any]:
    """`mean_iou`, `accuracy`, `per_class` (None for a class that is in neither), `parts` where
    class names have categories, the number of `samples` and the `split` they are of."""
    names = model.recipe.labels.class_names
    counts: Tensor | None = None
    per_sample: list[tuple[str, float]] = []
    grouped, num_samples = categories(names), 0
    for group, truth, logits in _results(model):
        num_samples += len(group)
        found = confusion(truth, logits.argmax(dim=2), num_classes=len(names))
        counts = found if counts is None else counts + found
        for row, of_row in zip(truth, logits, strict=True) if grouped else ():
            guessed = within_category(of_row, row, names)
            if guessed is not None:
                category, parts = guessed
                per_sample.append((category, part_iou(row, parts, grouped[category])))
    assert counts is not None, "a reader has at least one sample"
    result = {**asdict(scores(counts, names)), "samples": num_samples, "split": _split(model)}
    return result | ({"parts": asdict(part_scores(per_sample))} if grouped else {})


@torch.no_grad()
def draw(model: SegmentationModel, *, num_samples: int) -> "Figure":
    """Input, truth and prediction of the first samples, spread evenly, one a row."""
    from matplotlib.figure import Figure

    recipe, reader = model.recipe, _readers(model)[0]
    num_samples = max(min(num_samples, len(reader)), 1)
    indices = [len(reader) * i // num_samples for i in range(num_samples)]
    group = reader.held_out_group(indices)
    truth, logits = _predict(model, group)
    predicted = logits.argmax(dim=2)
    raw = group.raw[recipe.input.name]
    figure = Figure(figsize=(6, 2 * num_samples), layout="constrained")
    axes = figure.subplots(num_samples, 3, squeeze=False)
    for index, row in enumerate(axes):
        unknown = torch.where(truth[index] >= 0, predicted[index], -1)
        for panel, classes in zip(row, (None, truth[index], unknown), strict=True):
            recipe.labels.panel(panel, raw, None if classes is None else classes.cpu(), index)
            panel.set_axis_off()
    for panel, title in zip(axes[0], ("input", "truth", "prediction"), strict=True):
        panel.set_title(title, fontsize=9)
    return figure


def _results(
    model: SegmentationModel,
) -> Iterator[tuple[Group, Int64[Tensor, "b p"], Float[Tensor, "b p k"]]]:
    for reader in _readers(model):
        size = reader.stream.batch_size
        for first in range(0, len(reader), size):
            group = reader.held_out_group(range(first, min(first + size, len(reader))))
            yield (group, *_predict(model, group))


def _predict(model: SegmentationModel, group: Group) -> tuple[Tensor, Tensor]:
    """True classes and logits; the model is left as it was."""
    was_training, labels = model.training, model.recipe.labels
    model.eval()
    moved = group.to(model.encoder.device)
    logits = model.logits(moved)
    model.train(was_training)
    return labels.classes(moved.raw[labels.name]), logits


def _readers(model: SegmentationModel) -> list[StreamReader]:
    recipe = model.recipe
    return [StreamReader(s, s.held_out or s.files, recipe) for s in recipe.data.streams]


def _split(model: SegmentationModel) -> str:
    held_out = all(stream.held_out for stream in model.recipe.data.streams)
    return "held-out" if held_out else "training"
