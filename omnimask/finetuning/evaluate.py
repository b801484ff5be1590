"""Predictions for the labelled samples of a reader."""

from collections.abc import Sequence

import numpy as np
import torch

from omnimask.data import StreamReader
from omnimask.errors import DataError
from omnimask.finetuning.model import FinetunedModel
from omnimask.finetuning.scores import Predicted
from omnimask.report.samples import Unreadable, read_batches


def predict_all(
    model: FinetunedModel, readers: Sequence[StreamReader], unreadable: Unreadable | None = None
) -> Predicted:
    """Of every sample at its centre view; those that cannot be read are noted and left out.

    The model's mode stays as it was. DataError where nothing can be read.
    """
    device = next(model.parameters()).device
    noted = Unreadable() if unreadable is None else unreadable
    names: list[str] = []
    values, truth = [], []
    for reader in readers:
        for batch in read_batches(reader, range(len(reader)), noted, device=device):
            group = batch.group.to(device)
            assert group.labels is not None, "a StreamReader with labels made it"
            names += group.names
            values.append(model.predict(group).cpu())
            truth.append(group.labels.cpu())
    if not names:
        raise DataError(f"not one sample could be read: {dict(list(noted.errors.items())[:3])}")
    return Predicted(
        names=tuple(names),
        values=torch.cat(values).numpy().astype(np.float64),
        truth=torch.cat(truth).numpy().astype(np.float64),
    )
