"""Reconstructions while a model is trained, for a tracker; they leave no trace in the training."""

import numpy as np
from torch import nn

from omnimask.report.drawing.reconstructions import draw_reconstructions
from omnimask.report.drawing.sheet import Sheet, paint
from omnimask.training.step import MaskedModel
from omnimask.transfer.probing.in_training import evaluating


def training_pictures(model: nn.Module) -> dict[str, np.ndarray]:
    """By stream and modality, a picture (1 h w 3) of a few held-out samples."""
    assert isinstance(model, MaskedModel), "only what is pretrained reconstructs"
    with evaluating(model):
        sheet = draw_reconstructions(model, samples=model.recipe.run.report_samples)
    return {
        f"reconstructions/{section.heading.replace(': ', '/')}": np.asarray(
            paint(Sheet(title="", sections=(section,)))
        )[None]
        for section in sheet.sections
        if section.lines
    }
