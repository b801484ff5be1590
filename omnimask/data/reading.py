"""Reading one sample: whatever a reader raises becomes a DataError with the file's name."""

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.tokens.modality import CutsInTime, Sample, Source, Visit


def read_sample(source: Source, index: int, visit: Visit) -> Sample:
    """`source.read(index, visit)`, with finite numbers in it.

    A damaged file makes decoders raise anything (a TypeError deep in a header, a ZeroDivisionError,
    an overflow); with `data.max_bad_files` such a file is left out as any other. DataError naming
    it, the error and the line that raised it.
    """
    try:
        sample = source.read(index, visit)
    except OmnimaskError:
        raise
    except Exception as error:
        raise _failure(source.name(index), error) from error
    for part, value in sample.items():
        if not _is_finite(value):
            raise DataError(
                f"{source.name(index)}: has NaN or infinite numbers in its {part!r}; mend or "
                "remove the file"
            )
    return sample


def window_center(source: Source, index: int, visit: Visit) -> float | None:
    """`source.center_s(index, visit)` with the same errors; None where it cuts no windows."""
    if not isinstance(source, CutsInTime):
        return None
    try:
        return source.center_s(index, visit)
    except OmnimaskError:
        raise
    except Exception as error:
        raise _failure(source.name(index), error) from error


def _failure(name: str, error: Exception) -> DataError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    text = " ".join(str(error).split())
    return DataError(
        f"{name}: its reader failed with {type(error).__name__}: {text} ({place}); the file is "
        "probably damaged: mend or remove it"
    )


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return bool(np.isfinite(value).all())
    return True
