"""Missing cells and how sure the model is: predicted again with some observed ones hidden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from modalities.tabular.impute import impute_cells
from modalities.tabular.schema import RARE, Cell, Column, Table
from modalities.tabular.tokens import TableCells
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import fold_key
from omnimask.tokens.tokens import Group, Raw
from omnimask.training.step import MaskedModel

Row = Mapping[str, Cell | None]  # a date is in days since 1970-01-01


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskDraws:
    """How the uncertainty is measured: `number` predictions of every missing cell, each with every
    observed cell of the row hidden with probability `share`, but never all. 0 measures none.

    How much predictions differ between draws says how much they depend on single cells. It is no
    calibrated interval.
    """

    number: int = 10
    share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise RecipeError(f"draws must be 0 or more, got {self.number}; write 10")
        if not 0.0 < self.share < 1.0:
            raise RecipeError(f"hide share must be in (0, 1), got {self.share}; write 0.3")


@dataclass(frozen=True, kw_only=True, slots=True)
class FilledCell:
    """`value`: a number (of days for a date), True or False, or the name of a category, predicted
    from all observed cells. `spread`: the deviation of a number over the draws, in its own units.
    `share`: how many of the draws gave this category or truth value. None where nothing was drawn.
    """

    value: Cell
    spread: float | None = None
    share: float | None = None


def fill_gaps(
    model: MaskedModel,
    table: Table,
    rows: Sequence[Row],
    *,
    numbers: Sequence[int],
    draws: MaskDraws,
) -> list[dict[str, FilledCell]]:
    """Per row its missing cells; `numbers` are the rows' own, from which their draws come.

    Numbers lie in the range of the training rows, and are whole where those were. A category is one
    that has a class of its own. A row without any cell gets every column's mean or commonest
    category, with no spread. RecipeError where the model restores no hidden cell.
    """
    filled = [{} for _ in rows]
    empty = [i for i, row in enumerate(rows) if all(row[c.name] is None for c in table.columns)]
    for i in empty:
        filled[i] = {column.name: FilledCell(value=_usual(column)) for column in table.columns}
    gaps = [i for i, row in enumerate(rows) if any(row[c.name] is None for c in table.columns)]
    asked = [i for i in gaps if i not in set(empty)]
    if asked:
        predicted = _predict(
            model, table, [rows[i] for i in asked], [numbers[i] for i in asked], draws
        )
        for i, cells in zip(asked, predicted, strict=True):
            filled[i] = cells
    return filled


def _predict(
    model: MaskedModel,
    table: Table,
    rows: Sequence[Row],
    numbers: Sequence[int],
    draws: MaskDraws,
) -> list[dict[str, FilledCell]]:
    name, modality = table_modality(model)
    kinds = {column.name: column.kind for column in table.columns}
    samples = [{"table": table.name, "kinds": kinds, "cells": row} for row in rows]
    group = Group(
        stream="impute",
        raw={name: modality.collate(samples)},
        keys=torch.tensor([fold_key(draws.seed, "impute", number) for number in numbers]),
        names=tuple(str(number) for number in numbers),
    )
    groups = [group, *(_with_less(group, name, draw, draws.share) for draw in range(draws.number))]
    raws = [impute_cells(model, each) for each in groups]
    width = len(table.columns)
    scale = torch.tensor([column.scale for column in table.columns], dtype=torch.float64)
    mean = torch.tensor([column.mean for column in table.columns], dtype=torch.float64)
    values = torch.stack([_tensor(raw, "number")[:, :width].double().cpu() for raw in raws])
    codes = torch.stack([_tensor(raw, "code")[:, :width].cpu() for raw in raws])
    values = values * scale + mean
    return [
        {
            column.name: _filled(column, values[:, i, j], codes[:, i, j])
            for j, column in enumerate(table.columns)
            if row[column.name] is None
        }
        for i, row in enumerate(rows)
    ]


def _with_less(group: Group, name: str, draw: int, share: float) -> Group:
    """The group with a random share of the observed cells taken away, at least one left per row."""
    raw = group.raw[name]
    present = _tensor(raw, "present")
    chance = group.rng.child("hide").child(draw).uniform(present.shape[1])
    last = chance.masked_fill(~present, -1.0).argmax(dim=1, keepdim=True)
    stays: Bool[Tensor, "b n"] = (chance >= share).scatter(1, last, True)
    left = present & stays
    changed = {**raw, "present": left, "num_present": tuple(left.sum(dim=1).tolist())}
    return replace(group, raw={**group.raw, name: changed})


def _filled(
    column: Column, values: Float64[Tensor, " draws"], codes: Int64[Tensor, " draws"]
) -> FilledCell:
    """The first of each is predicted from all observed cells, the others are the draws."""
    drawn = len(values) > 1
    if column.is_number:
        inside = values.clamp(column.low, column.high)
        value = float(inside[0])
        spread = float(inside[1:].std(correction=0)) if drawn else None
        return FilledCell(value=float(round(value)) if column.whole else value, spread=spread)
    if not column.categories:  # no training row had a cell
        return FilledCell(value="")
    code = _own_class(column, codes.tolist())
    share = float((codes[1:] == code).double().mean()) if drawn else None
    word = column.categories[code - 1]
    return FilledCell(value=word == "true" if column.kind == "boolean" else word, share=share)


def _own_class(column: Column, codes: Sequence[int]) -> int:
    """The first predicted category that is not the class of all rare ones, else the commonest."""
    named = [code for code in codes if code >= 1 and column.categories[code - 1] != RARE]
    return named[0] if named else 1


def _usual(column: Column) -> Cell:
    if column.is_number:
        return float(round(column.mean)) if column.whole else column.mean
    if column.kind == "boolean":
        return False
    return column.categories[0] if column.categories else ""


def table_modality(model: MaskedModel) -> tuple[str, TableCells]:
    """The run's table modality; RecipeError where it has none."""
    for name, modality in model.modalities.items():
        if isinstance(modality, TableCells):
            return name, modality
    raise RecipeError(
        f"{model.recipe.name!r} was not trained on tables, only on {', '.join(model.modalities)}; "
        "name a run with a table modality"
    )


def _tensor(raw: Raw, name: str) -> Tensor:
    part = raw[name]
    assert isinstance(part, Tensor)
    return part
