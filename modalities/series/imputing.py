"""`omnimask impute` on a series: its own gaps are filled."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from modalities.series.files import SeriesFiles, SeriesSource, sample_of
from modalities.series.modality import SeriesPatches
from modalities.series.readers import SUFFIXES, write_recording
from omnimask.data.folders import suffix_of
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.tokens import tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Imputation, Request
from omnimask.transfer.imputing.restore import restore_hidden
from omnimask.transfer.imputing.stream_files import files_of, one_file


class GapImputer:
    """Writes the whole recording, at the model's rate, with predictions in its gaps; all that is
    known stays as it is. The format is that of the name. The model sees one window after another.
    """

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, SeriesPatches), "asked only for those"
        if request.hide is not None:
            raise RecipeError(
                f"{request.path}: the gaps of a series are filled; leave out "
                f"{' and '.join(request.hide.given)}"
            )
        if suffix_of(request.out, SUFFIXES) not in SUFFIXES:
            raise DataError(f"{request.out}: a filled series is one of {' '.join(SUFFIXES)}")
        files = files_of(model.recipe, name, SeriesFiles())
        source = SeriesSource(one_file(request.path), files, modality)
        recording = source.recording(request.path)
        values, gaps = recording.values.copy(), np.isnan(recording.values)
        notes: dict[str, None] = {}
        for first, last in _windows(values, modality.num_steps):
            offset = source.origin_of(values[first:last])
            predicted, said = _filled(model, modality, values[first:last] - offset)
            holes = np.isnan(values[first:last])
            values[first:last][holes] = (predicted + offset)[holes]
            notes |= dict.fromkeys(said)
        shape = (modality.num_joints, modality.num_channels)
        filled = replace(recording, values=values)
        write_recording(request.out, filled, time=files.time_column, shape=shape)
        still = int(np.isnan(values).sum())
        about = f"filled {int(gaps.sum()) - still} of {int(gaps.sum())} missing numbers"
        about += ", the others lie where no step around them is known" if still else ""
        return Imputation(files=(request.out,), notes=(about, *notes))


def _windows(values: Float[np.ndarray, "t k"], length: int) -> Iterator[tuple[int, int]]:
    """Those with gaps left in them; the last one ends with the recording."""
    for place in range(0, len(values), length):
        first = max(min(place, len(values) - length), 0)
        if np.isnan(values[first : first + length]).any():
            yield first, min(first + length, len(values))


def _filled(
    model: MaskedModel, modality: SeriesPatches, values: Float[np.ndarray, "t k"]
) -> tuple[Float[np.ndarray, "t k"], tuple[str, ...]]:
    """Predictions for the whole window, NaN where nothing is known to predict from."""
    sample = sample_of(modality, values)
    seen = modality.split(modality.collate([sample])).valid[0]
    if not seen.any():
        return np.full(values.shape, np.nan), ()
    every = torch.ones(modality.num_steps, modality.num_joints, dtype=torch.bool)
    every[-(-len(values) // modality.patch) * modality.patch :] = False
    raw = modality.collate([{"series": _padded(sample["series"], modality), "known": every}])
    whole = modality.split(raw).valid[0]
    restored = restore_hidden(model, modality.name, raw, whole & ~seen)
    series = tensor_of(modality.join(restored.values[None].cpu(), raw), "series")
    return series[0, : len(values)].flatten(1).double().numpy(), restored.notes


def _padded(series: Float[Tensor, "t j c"], modality: SeriesPatches) -> Float[Tensor, "n j c"]:
    padded = series.new_zeros(modality.num_steps, *series.shape[1:])
    padded[: len(series)] = series
    return padded


IMPUTERS = {SeriesPatches: GapImputer()}
