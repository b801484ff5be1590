"""Reading one sample: whatever a reader raises becomes a DataError with the file's name.

A damaged file makes decoders raise anything (a TypeError deep in a header, a ZeroDivisionError, an
overflow). As a DataError it is left out like any other unreadable file, if the recipe has a
`data.max_bad_files`. `tools/fuzz_readers.py` looks for what slips through.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.tokens.modality import CutsInTime, Files, Sample, Source, Visit


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turns errors that a reader did not foresee into a DataError: `name` of the file, the error,
    and the line that raised it.
    """
    try:
        yield
    except OmnimaskError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        text = " ".join(str(error).split())
        raise DataError(
            f"{name}: its reader failed with {type(error).__name__}: {text} ({place}); the file is "
            "probably damaged: mend or remove it"
        ) from error


def open_source(files: Files, root: str, modality: Any) -> Source:
    """`files.open(root, modality)`."""
    with named_errors(f"{root} ({type(files).__name__})"):
        return files.open(root, modality)


def read_sample(source: Source, index: int, visit: Visit) -> Sample:
    """`source.read(index, visit)`; DataError also where it has numbers that are not finite."""
    with named_errors(source.name(index)):
        sample = source.read(index, visit)
    for part, value in sample.items():
        if not _is_finite(value):
            raise DataError(
                f"{source.name(index)}: has NaN or infinite numbers in its {part!r}; mend or "
                "remove the file"
            )
    return sample


def window_center(source: Source, index: int, visit: Visit) -> float | None:
    """`source.center_s(index, visit)`; None where it cuts no windows."""
    if not isinstance(source, CutsInTime):
        return None
    with named_errors(source.name(index)):
        return source.center_s(index, visit)


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return bool(np.isfinite(value).all())
    return True
