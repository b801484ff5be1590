"""Missing cells from the observed ones of their row, by a trained model."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modalities.tabular.modality import TableCells
from modalities.tabular.readable import Readable, readable_number
from modalities.tabular.readable_rows import cells_to_rows
from modalities.tabular.schema import Cell, Column
from modalities.tabular.values import CODE, NUMBER
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import RecipeError
from omnimask.masking.plan import MaskPlan, sum_rows
from omnimask.objectives.targets import Restoring
from omnimask.tokens.modality import Modality, Visit
from omnimask.tokens.tokens import Group, Layout, Raw, View
from omnimask.training.step import MaskedModel


def impute_rows(
    model: MaskedModel, reader: StreamReader, *, batch_size: int = 256
) -> list[dict[str, Readable]]:
    """All rows of a stream without a gap, as {column: cell} in the file's units.

    Observed cells are as they were read, also such categories as training rows did not have. Dates
    are ISO 8601 text; "<rare>" is predicted where the likeliest category is one of those that share
    a class. Leaves the model in eval mode. RecipeError where the stream has no table or
    the model's objectives restore no hidden cell.
    """
    name, modality = _table_of(reader.modalities)
    rows: list[dict[str, Readable]] = []
    for start in range(0, len(reader), batch_size):
        indices = range(start, min(start + batch_size, len(reader)))
        raw = impute_cells(model, reader.held_out_group(indices))
        for index, row in zip(indices, cells_to_rows(modality, raw, fill_missing=True)):
            sample = reader.read(index, Visit(key=0, augment=False))[name]
            table = next(table for table in modality.tables or () if table.name == sample["table"])
            cells = {column.name: _as_read(column, sample["cells"]) for column in table.columns}
            rows.append({c: row[c] if cell is None else cell for c, cell in cells.items()})
    return rows


@torch.no_grad()
def impute_cells(model: MaskedModel, group: Group) -> Raw:
    """The group's table with a predicted `number` or `code` in every missing cell.

    All observed tokens of the group are shown. `present` is still False where a cell was missing,
    so that `cells_to_rows` needs `fill_missing`. Leaves the model in eval mode. RecipeError where
    the group has no table or the model's objectives restore no hidden cell.
    """
    name, modality = _table_of({name: model.modalities[name] for name in group.raw})
    model.eval()
    view = View.of(group.to(next(model.parameters()).device), model.modalities)
    raw = view.group.raw[name]
    missing = _missing(modality, raw)
    view = _asking(view, name, missing)
    restored = _restored(model, view, name)
    number, code = raw["number"], raw["code"]
    assert isinstance(number, Tensor)
    assert isinstance(code, Tensor)
    return {
        **raw,
        "number": torch.where(missing, restored[..., NUMBER], number),
        "code": torch.where(missing, restored[..., CODE].round().to(code.dtype), code),
    }


def _restored(model: MaskedModel, view: View, name: str) -> Float[Tensor, "b n v"]:
    """The values of a table's tokens as the objectives at hidden cells predict them, each applied
    to what the former left.
    """
    objectives = [o for o in model.recipe.objectives if o.modality == name]
    plan = _plan(view, name, visible_too=any(o.where != "hidden" for o in objectives))
    (encoded,) = model.encode([view], [[plan]])
    predictions = model.predictions(encoded)
    span, tokens = view.layout.span(name), view.tokens[name]
    restored = False
    for objective in objectives:
        predicted = _placed(predictions[objective.name], plan, view)[:, span.start : span.stop]
        target = objective.target
        values = target.restore(predicted, tokens) if isinstance(target, Restoring) else None
        if values is not None and objective.where != "visible":
            restored, tokens = True, replace(tokens, values=values.float())
    if not restored:
        raise RecipeError(
            f"no objective of {name!r} restores hidden cells, got "
            f"{[o.name for o in objectives]}; train with the target Cells or ScaledCells"
        )
    return tokens.values


def _table_of(modalities: Mapping[str, Modality]) -> tuple[str, TableCells]:
    for name, modality in modalities.items():
        if isinstance(modality, TableCells):
            return name, modality
    raise RecipeError(
        f"imputation needs a table, got the modalities {sorted(modalities)}; choose another stream"
    )


def _as_read(column: Column, cells: Mapping[str, Cell | None]) -> Readable:
    cell = cells[column.name]
    if cell is None or not column.is_number:
        return cell
    assert not isinstance(cell, str)
    return readable_number(column, cell, whole=column.whole and cell == round(cell))


def _missing(modality: TableCells, raw: Raw) -> Bool[Tensor, "b n"]:
    """Cells of the row's own table that are not there; padding is not meant."""
    present, places = raw["present"], raw["table"]
    assert isinstance(present, Tensor)
    assert modality.tables is not None
    widths = [len(modality.tables[place].columns) for place in places]
    ends = torch.tensor(widths, device=present.device)
    return (torch.arange(present.shape[1], device=present.device) < ends[:, None]) & ~present


def _asking(view: View, name: str, missing: Bool[Tensor, "b n"]) -> View:
    """The view in which missing cells are tokens to ask about: scorable, and not valid.

    So a decoder takes them for what an empty voxel is: part of the sequence, never shown.
    """
    tokens = view.tokens[name]
    scorable = tokens.valid | missing
    counts = tuple(scorable.sum(dim=1).tolist())
    predicted = {**view.tokens, name: replace(tokens, scorable=scorable, num_scorable=counts)}
    return replace(view, tokens=predicted, layout=Layout.of(predicted))


def _plan(view: View, name: str, *, visible_too: bool) -> MaskPlan:
    """Shows every valid token and asks for the table's missing cells.

    With `visible_too` for all of its cells, as in a training that predicts those as well: mask
    tokens see one another in some decoders, and should meet the company they know.
    """
    layout, span = view.layout, view.layout.span(name)
    predict = torch.zeros_like(layout.scorable)
    own = layout.scorable[:, span.start : span.stop]
    if not visible_too:
        own = own & ~layout.valid[:, span.start : span.stop]
    predict[:, span.start : span.stop] = own
    return MaskPlan.from_flags(
        layout.valid,
        predict,
        num_visible=sum_rows([part.num_valid for part in layout.spans]),
        num_predict=tuple(own.sum(dim=1).tolist()),
    )


def _placed(
    predicted: Float[Tensor, "r k p"], plan: MaskPlan, view: View
) -> Float[Tensor, "r n p"]:
    """Predictions at their tokens' places in the sequence, zero elsewhere."""
    num_tokens = view.layout.valid.shape[1]
    kept = torch.where(plan.predict_ok[:, :, None], predicted.float(), 0.0)
    placed = kept.new_zeros(len(kept), num_tokens, kept.shape[2])
    return placed.scatter_add_(1, plan.predict_ids[:, :, None].expand_as(kept), kept)
