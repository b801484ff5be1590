"""Cells as they stand in the file, standardised inside an exported graph."""

import math
from dataclasses import replace

import torch

from modalities.tabular import TableCells
from modalities.tabular.graph_front import TableFront
from modalities.tabular.schema import Column, Table

PEOPLE = Table(
    name="people",
    columns=(
        Column(name="age", kind="numeric", mean=40.0, std=10.0, low=18.0, high=90.0),
        Column(name="born", kind="date", mean=7000.0, std=500.0, low=0.0, high=9000.0),
        Column(name="town", kind="category", categories=("Bern", "Genf")),
        Column(name="fixed", kind="numeric", mean=3.0, low=3.0, high=3.0),
    ),
)
FLAGS = Table(
    name="flags", columns=(Column(name="on", kind="boolean", categories=("false", "true")),)
)
BOTH = TableCells(tables=(PEOPLE, FLAGS))
SAMPLES = [
    {"table": "people", "cells": {"age": 55, "born": 7250.5, "town": "Genf", "fixed": 3.0}},
    {"table": "flags", "cells": {"on": True}},
    {"table": "people", "cells": {"age": None, "born": 1e9, "town": "Chur", "fixed": None}},
]


def test_cells_are_in_the_files_units():
    inputs = TableFront(BOTH).inputs(SAMPLES)
    nan = math.nan
    expected = [[55.0, 7250.5, 2.0, 3.0], [2.0, nan, nan, nan], [nan, 1e9, 0.0, nan]]
    assert torch.equal(inputs["cells"].nan_to_num(-1.0), torch.tensor(expected).nan_to_num(-1.0))
    assert inputs["table"].tolist() == [0, 1, 0]


def test_tokens_are_the_modalitys():
    front = TableFront(BOTH)
    values, coords, valid = front.tokens(front.inputs(SAMPLES))
    expected = BOTH.split(BOTH.collate(SAMPLES))
    assert torch.equal(valid, expected.valid)
    # What stands where no cell is given is read by nobody.
    assert torch.equal(values[valid], expected.values[valid])
    assert torch.equal(coords[valid], expected.coords[valid])


def test_one_table_needs_no_place():
    front = TableFront(replace(BOTH, tables=(PEOPLE,)))
    samples = [SAMPLES[0], SAMPLES[2]]
    inputs = front.inputs(samples)
    assert list(inputs) == ["cells"]
    values, _, valid = front.tokens(inputs)
    expected = front.modality.split(front.modality.collate(samples))
    assert torch.equal(values[valid], expected.values[valid])


def test_what_stands_in_a_column_that_the_table_lacks_is_not_read():
    front = TableFront(BOTH)
    inputs = front.inputs(SAMPLES)
    inputs["cells"][1, 1:] = 7.0
    assert front.tokens(inputs)[2].tolist()[1] == [True, False, False, False]
