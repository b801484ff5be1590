"""Whatever a reader raises is an error of its file, and what it returns is finite."""

import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omnimask.commands.pretrain import train
from omnimask.data.reading import read_sample, window_center
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.json_lines import read_lines
from omnimask.tokens.modality import Sample, Visit
from tests.unit.toy import Toy, ToyFiles, ToySource
from tests.unit.toy_recipe import toy_recipe

VISIT = Visit(key=0)
# What readers raised on damaged files: PCD, NPZ, PLY, video tags, WAV, CSV and Parquet.
RAISED = [
    TypeError("'<' not supported"),
    zipfile.BadZipFile("File is not a zip file"),
    ValueError("cannot reshape"),
    OverflowError("int too large"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    AttributeError("'NoneType' object has no attribute 'rate'"),
    ZeroDivisionError("division by zero"),
    MemoryError(),
    IndexError("list index out of range"),
]


@dataclass
class OneFile:
    """A source of one file."""

    sample: Any = field(default_factory=dict)
    error: Exception | None = None

    def __len__(self) -> int:
        return 1

    def name(self, index: int, /) -> str:
        return "folder/one.bin"

    def label(self, index: int, /) -> None:
        return None

    def read(self, index: int, visit: Visit, /) -> Sample:
        if self.error is not None:
            raise self.error
        return self.sample


class Windows(OneFile):
    def center_s(self, index: int, visit: Visit, /) -> float:
        if self.error is not None:
            raise self.error
        return 2.5


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_what_a_reader_raises_names_the_file_the_error_and_the_line(error: Exception):
    said = rf"folder/one\.bin: its reader failed with {type(error).__name__}: .*\(test_reading\.py"
    with pytest.raises(DataError, match=said) as caught:
        read_sample(OneFile(error=error), 0, VISIT)
    assert caught.value.__cause__ is error
    with pytest.raises(DataError, match=said):
        window_center(Windows(error=error), 0, VISIT)


@pytest.mark.parametrize("error", [DataError("one.bin: is empty"), RecipeError("no such column")])
def test_errors_that_say_what_is_wrong_stay_as_they_are(error: Exception):
    with pytest.raises(type(error)) as caught:
        read_sample(OneFile(error=error), 0, VISIT)
    assert caught.value is error


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [torch.tensor, np.array])
def test_numbers_that_are_not_finite_are_an_error_of_the_file(make: Any, bad: float):
    with pytest.raises(DataError, match=r"one\.bin: has NaN or infinite numbers in its 'wave'"):
        read_sample(OneFile(sample={"wave": make([0.0, bad])}), 0, VISIT)


def test_everything_else_is_handed_on():
    sample = {"pixels": torch.zeros(2, dtype=torch.uint8), "cells": [None, "a"], "count": 3}
    assert read_sample(OneFile(sample=sample), 0, VISIT) is sample
    assert window_center(OneFile(), 0, VISIT) is None
    assert window_center(Windows(), 0, VISIT) == 2.5


@dataclass(frozen=True, slots=True)
class FailingSource(ToySource):
    """Its reader meets something that it did not expect in the first file."""

    def read(self, index: int, visit: Visit) -> Sample:
        return {"wave": 1 / index} if index == 0 else ToySource.read(self, index, visit)


@dataclass(frozen=True, kw_only=True, slots=True)
class FailingFiles(ToyFiles):
    def open(self, root: str, modality: Toy) -> ToySource:
        return FailingSource(self, modality)


def test_a_run_leaves_such_a_file_out_and_lists_it(tmp_path: Path):
    recipe = toy_recipe()
    (first, *others) = recipe.data.streams
    failing = replace(first, files=dict.fromkeys(first.files, FailingFiles()))
    data = replace(recipe.data, streams=(failing, *others), max_bad_files=1)
    modalities = tuple(Toy(name=modality.name, mean=0.0) for modality in recipe.modalities)
    train(replace(recipe, modalities=modalities, data=data), tmp_path)
    (entry,) = read_lines(tmp_path / "bad_files.jsonl")
    assert "failed with ZeroDivisionError: division by zero (test_reading.py" in entry["error"]
