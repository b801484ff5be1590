"""Where a fine-tuned model is wrong on held-out samples: in order, in words, and as pictures."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch

from omnimask.data.streams import StreamReader
from omnimask.report.drawing.panels import original
from omnimask.transfer.finetuning.classification import Classification, MultiLabel
from omnimask.transfer.finetuning.classifier import Classifier
from omnimask.transfer.finetuning.place_scores import Confusions, mean_iou
from omnimask.transfer.finetuning.scores import Predicted, Results
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.finetuning.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def worst_mistakes(task: Task, predicted: Results) -> tuple[list[int], dict[int, str]]:
    """Which samples are wrong, the worst first, and in words how."""
    if isinstance(predicted, Confusions):
        return _of_places(task, predicted)
    if isinstance(task, Classification):
        return _of_classes(task, predicted)
    values, truth, names = predicted.values, predicted.truth, task.outputs
    errors = np.abs(values - truth)
    order = [int(i) for i in np.argsort(-np.nansum(errors, axis=1), kind="stable")]
    if isinstance(task, MultiLabel):
        order = [i for i in order if ((values[i] >= 0.5) != (truth[i] >= 0.5)).any()]
    words = {}
    for i in order:
        worst = int(np.nanargmax(errors[i]))
        said, was = values[i, worst], truth[i, worst]
        words[i] = f"{names[worst]}: predicted {said:.3g}, is {was:.3g}"
    return order, words


def _of_classes(task: Task, predicted: Predicted) -> tuple[list[int], dict[int, str]]:
    values, names = predicted.values, task.outputs
    right, chosen = predicted.truth[:, 0].astype(int), values.argmax(axis=1)
    chance = values[np.arange(len(right)), right]
    wrong = [int(i) for i in np.argsort(chance, kind="stable") if chosen[i] != right[i]]
    return wrong, {
        i: f"{names[right[i]]}, taken for {names[chosen[i]]} ({values[i, chosen[i]]:.0%})"
        for i in wrong
    }


def _of_places(task: Task, found: Confusions) -> tuple[list[int], dict[int, str]]:
    scores = mean_iou(found.counts)
    wrong = found.counts.copy()
    for counts in wrong:
        np.fill_diagonal(counts, 0)
    order = [int(i) for i in np.argsort(scores, kind="stable") if wrong[i].any()]
    words = {}
    for i in order:
        true, guessed = divmod(int(wrong[i].argmax()), wrong.shape[-1])
        most = f"most often {task.outputs[true]} taken for {task.outputs[guessed]}"
        words[i] = f"mean IoU {scores[i]:.2f}, {most}"
    return order, words


def picture_of(classifier: Classifier, reader: StreamReader, name: str) -> bytes:
    """A PNG of the sample as its first modality draws it; of places also truth and prediction."""
    from PIL import Image

    index = next(i for i in range(len(reader)) if reader.name(i) == name)
    file = BytesIO()
    task = classifier.recipe.task
    if isinstance(task, Segmentation):
        figure = draw_places(classifier, task, reader, index)
        figure.savefig(file, format="png", dpi=110)
        return file.getvalue()
    group = reader.held_out_group([index])
    modality = next(iter(group.raw))
    pixels = original(classifier.model.modalities[modality], group.raw[modality])
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def draw_places(
    classifier: Classifier, task: Segmentation, reader: StreamReader, index: int
) -> "Figure":
    """Input, truth and prediction of one sample; places of unknown class have no prediction."""
    from matplotlib.figure import Figure

    model = classifier.model
    group = reader.held_out_group([index])
    raw = group.raw[classifier.recipe.modalities[0].name]
    truth = model.truth(group)[0].long()
    chosen = model.predict(group.to(next(model.parameters()).device))[0].argmax(dim=1).cpu()
    shown = {"input": None, "truth": truth, "prediction": torch.where(truth >= 0, chosen, -1)}
    figure = Figure(figsize=(6.0, 2.2), layout="constrained")
    for axes, (title, classes) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        task.labels.panel(axes, raw, classes, 0)
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
    return figure
