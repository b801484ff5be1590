"""The page of a fine-tuning run: scores, curves, confusion matrix, worst mistakes as pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnimask.data.samples import Unreadable, spread
from omnimask.data.streams import StreamReader
from omnimask.foundation.json_lines import read_lines
from omnimask.report.curves import training_curves
from omnimask.report.history import drop_repeated
from omnimask.report.html import (
    Html,
    captioned,
    element,
    figure_picture,
    folded_recipe,
    page,
    paragraphs,
    picture,
    section,
    styled,
    table,
    with_interval,
)
from omnimask.report.mistakes import picture_of, worst_mistakes
from omnimask.transfer.finetuning.classifier import Classifier, load_classifier
from omnimask.transfer.finetuning.evaluate import predict_all
from omnimask.transfer.finetuning.job import EVALUATIONS
from omnimask.transfer.finetuning.labels import open_readers
from omnimask.transfer.finetuning.recipe import LOSS, FinetuneRecipe
from omnimask.transfer.finetuning.scores import Results, confusion_of, per_class
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.finetuning.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WORST = 8
_EXAMPLES = 4  # of a segmentation, beside its mistakes
_MOST_CLASSES = 60  # beyond that a matrix is no longer readable


def write_finetune_report(run: Path) -> Path:
    """Writes `run/report/index.html` from the run's weights and returns its path.

    `results.json` must be there already. DataError where the held-out files cannot be found.
    """
    classifier = load_classifier(run)
    results = json.loads((run / "results.json").read_text())
    folder = run / "report"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(_page(run, classifier, results), encoding="utf-8")
    return path


def _page(run: Path, classifier: Classifier, results: Mapping[str, Any]) -> str:
    recipe = classifier.recipe
    start = results["start"] or "from scratch"
    return page(
        f"{recipe.name}: report",
        element("header", element("h1", recipe.name), element("p", f"Fine-tuning from: {start}")),
        section("Results on held-out samples", *_scores(results)),
        *(_stream(classifier, part.held_out) for part in open_readers(recipe)),
        section("Training", *_curves(run, recipe)),
        section("Run", folded_recipe(recipe)),
    )


def _scores(results: Mapping[str, Any]) -> list[Html]:
    rows = [
        [
            stream,
            name,
            f"{part['num_train']:,} / {part['num_held_out']:,}",
            with_interval(*(f"{score[key]:.3f}" for key in ("value", "low", "high"))),
        ]
        for stream, part in results["streams"].items()
        for name, score in part["scores"].items()
    ]
    shares = f"{results['label_share']:.0%} of the labels of the training samples were used."
    note = f"The intervals are of 95 %, from the number of held-out samples. {shares}"
    head = ["stream", "score", "training / held-out samples", "value"]
    return [table(head, rows, num_text=2), paragraphs([note])]


def _curves(run: Path, recipe: FinetuneRecipe) -> list[Html]:
    lines = drop_repeated(read_lines(run / "metrics.jsonl"))
    shown = training_curves(lines, {LOSS: "training loss"}, {})
    looks = drop_repeated(read_lines(run / EVALUATIONS))
    if lines and looks:
        score = recipe.task.main_score
        figure = _line_figure(looks, score, str(looks[0]["part"]))
        shown.insert(0, figure_picture(figure, alt=f"{score} by step"))
    return shown


def _line_figure(looks: Sequence[Mapping[str, Any]], score: str, part: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([x["step"] for x in looks], [x[score] for x in looks], marker=".", color="#2563eb")
    axes.set_title(f"{score}, {part} samples", fontsize=9, loc="left")
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _stream(classifier: Classifier, reader: StreamReader) -> Html:
    """Where the model is right and wrong on one stream's held-out samples."""
    task = classifier.recipe.task
    predicted = predict_all(classifier.model, [reader], Unreadable())
    parts = _by_class(task, predicted)
    if isinstance(task, Segmentation):
        names = [predicted.names[i] for i in spread(len(predicted.names), _EXAMPLES)]
        examples = [_drawn(classifier, reader, name, "") for name in names]
        parts += [element("h3", "Samples evenly spread"), styled("div", "gallery", *examples)]
    ranked, words = worst_mistakes(task, predicted)
    pictures = [_drawn(classifier, reader, predicted.names[i], words[i]) for i in ranked[:_WORST]]
    parts += [element("h3", "Worst mistakes"), styled("div", "gallery", *pictures)]
    if not pictures:
        parts.append(paragraphs(["None: every held-out sample is right."]))
    return section(f"Mistakes: {reader.stream.name}", *parts)


def _by_class(task: Task, predicted: Results) -> list[Html]:
    """A table of the classes and the confusion matrix; nothing where there are no classes."""
    values = per_class(task, predicted)
    if not values:
        return []
    score = "IoU" if isinstance(task, Segmentation) else "recall"
    rows = [[name, "–" if value is None else f"{value:.3f}"] for name, value in values.items()]
    parts = [table(["class", score], rows)]
    if len(values) <= _MOST_CLASSES:
        figure = _matrix_figure(list(values), confusion_of(task, predicted))
        parts.append(figure_picture(figure, alt="confusion matrix"))
    return parts


def _drawn(classifier: Classifier, reader: StreamReader, name: str, words: str) -> Html:
    data = picture_of(classifier, reader, name)
    caption = " · ".join(part for part in (words, name) if part)
    return captioned(caption, picture(data, media_type="image/png", alt=name))


def _matrix_figure(classes: Sequence[str], counts: np.ndarray) -> "Figure":
    """Coloured by the share of a true class; of many places the numbers are shares too."""
    from matplotlib.figure import Figure

    size = 2.2 + 0.34 * len(classes)
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0)
    for row, column in np.argwhere(counts > 0):
        share, count = shares[row, column], counts[row, column]
        colour = "white" if share > 0.5 else "#111827"
        text = str(count) if counts.max() < 1000 else f"{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=90, fontsize=7)
    axes.set_yticks(places, classes, fontsize=7)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("is", fontsize=8)
    return figure
