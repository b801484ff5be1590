"""Predictions for the labelled samples of a reader."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from omnimask.data.samples import Unreadable, read_batches
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.tokens.tokens import Group
from omnimask.transfer.finetuning.model import FinetunedModel
from omnimask.transfer.finetuning.place_scores import (
    Confusions,
    categories,
    confusion,
    within_category,
)
from omnimask.transfer.finetuning.scores import Predicted, Results
from omnimask.transfer.finetuning.segmentation import Segmentation


def predict_all(
    model: FinetunedModel, readers: Sequence[StreamReader], unreadable: Unreadable
) -> Results:
    """Of every sample at its centre view; those that cannot be read are noted and left out.

    Of places only counts are kept, since all their probabilities would not fit the memory. The
    model's mode stays as it was. DataError where nothing can be read.
    """
    groups = _groups(model, readers, unreadable)
    places = isinstance(model.recipe.task, Segmentation)
    return _of_places(model, groups) if places else _of_samples(model, groups)


def _groups(
    model: FinetunedModel, readers: Sequence[StreamReader], unreadable: Unreadable
) -> Iterator[Group]:
    device, empty = next(model.parameters()).device, True
    for reader in readers:
        for batch in read_batches(reader, range(len(reader)), unreadable, device=device):
            empty = False
            yield batch.group.to(device)
    if empty:
        raise DataError(
            f"not one sample could be read: {dict(list(unreadable.errors.items())[:3])}"
        )


def _of_samples(model: FinetunedModel, groups: Iterator[Group]) -> Predicted:
    names: list[str] = []
    values, truth = [], []
    for group in groups:
        names += group.names
        values.append(model.predict(group))
        truth.append(model.truth(group))
    return Predicted(
        names=tuple(names),
        values=_joined(values).astype(np.float64),
        truth=_joined(truth).astype(np.float64),
    )


def _of_places(model: FinetunedModel, groups: Iterator[Group]) -> Confusions:
    classes = model.recipe.task.outputs
    grouped = bool(categories(classes))
    names: list[str] = []
    counts, within = [], []
    for group in groups:
        names += group.names
        truth, values = model.truth(group).long(), model.predict(group)
        guess = values.argmax(dim=2)
        counts.append(confusion(truth, guess, num_classes=len(classes)))
        if grouped:
            guess = within_category(values, truth, classes)
            within.append(confusion(truth, guess, num_classes=len(classes)))
    return Confusions(
        names=tuple(names),
        counts=_joined(counts),
        within=_joined(within) if grouped else None,
    )


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([part.cpu() for part in parts]).numpy()
