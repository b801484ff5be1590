"""Gaps are filled from the row's observed cells, and nothing else is touched."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modalities.tabular import (
    Cells,
    Column,
    Table,
    TableCells,
    cell_loss,
    impute_cells,
    impute_rows,
)
from modalities.tabular.imputing.cells import _missing, _placed
from omnimask.data.streams import StreamReader, open_streams
from omnimask.decoders import CrossAttentionDecoder, Decoder, SelfAttentionDecoder, SpanDecoder
from omnimask.foundation.errors import RecipeError
from omnimask.masking import MaskPlan, RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, smooth_l1
from omnimask.objectives.targets import TeacherFeatures
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Stream
from omnimask.recipe.teacher import Teacher
from omnimask.tokens.tokens import Group, View
from omnimask.training.fitting import fit
from omnimask.training.step import MaskedModel, build_model
from recipes.remasker import parts
from tests.modalities.case_tabular import PATIENTS, write_cities, write_patients
from tests.modalities.tabular_tables import FILES
from tests.unit.masking_cases import layout, part

SMALL = Encoder(width=16, depth=1, num_heads=2)


def recipe_of(folder: Path) -> Recipe:
    method = parts(decoder=SelfAttentionDecoder(width=16, depth=1, num_heads=2))
    return Recipe(
        name="patients",
        modalities=(TableCells(),),
        masker=method.masker,
        encoder=SMALL,
        decoders=method.decoders,
        objectives=method.objectives,
        data=Data(root=str(folder), streams=(Stream(name="table", files={"table": FILES}),)),
        optim=Optim(steps=1),
    )


def masked_autoencoder(folder: Path, decoder: Decoder) -> Recipe:
    """One objective at hidden cells, and another target."""
    objective = Objective(name="cells", modality="table", target=Cells(), loss=cell_loss)
    return replace(
        recipe_of(folder),
        masker=RandomMask(ratio=0.5),
        objectives=(objective,),
        decoders={"main": decoder},
    )


def built(recipe: Recipe) -> tuple[MaskedModel, StreamReader]:
    recipe = fit(recipe)
    return build_model(recipe), open_streams(recipe)[0]


def always(model: MaskedModel, objective: str, *prediction: float) -> None:
    """Makes a head say the same for every cell."""
    head = model.heads[objective]
    assert isinstance(head, torch.nn.Linear)
    torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(torch.tensor(prediction))


def test_only_gaps_are_filled_and_in_the_files_units(tmp_path: Path) -> None:
    write_patients(tmp_path, PATIENTS)
    model, reader = built(recipe_of(tmp_path))
    always(model, "table_hidden", 0.0, 0.0, 1.0, 0.0)  # the middle of the range, the second class
    always(model, "table_shown", 9.0, 9.0, 0.0, 0.0)
    rows = impute_rows(model, reader, batch_size=4)
    assert rows[1] == {
        "age": 51,
        "weight_kg": pytest.approx((58.25 + 81.0) / 2, abs=1e-3),
        "ward": "south",
        "smoker": False,
        "admitted": "2024-02-11",
        "clinic": "A",
    }
    assert rows[4]["age"] == (29 + 63) / 2  # a column of whole numbers stays one
    assert rows[4]["ward"] == "south"
    assert rows[4]["smoker"] is True
    assert rows[4]["admitted"] == "2024-03-01"
    assert rows[3]["admitted"] == "2024-01-30"  # between 30 December and 1 March


def test_observed_cells_come_back_exactly_even_if_training_rows_had_none_like_them(
    tmp_path: Path,
) -> None:
    write_patients(tmp_path, PATIENTS)
    model, _ = built(recipe_of(tmp_path))
    odd = PATIENTS.replace("70.5,north", "123456.789012,roof").replace("\n63,", "\n63.5,")
    write_patients(tmp_path, odd)
    (reader,) = open_streams(model.recipe)
    rows = impute_rows(model, reader)
    assert rows[0]["weight_kg"] == 123456.789012
    assert rows[0]["ward"] == "roof"
    assert rows[3]["age"] == 63.5


def test_a_gap_depends_on_the_rows_observed_cells_alone(tmp_path: Path) -> None:
    write_patients(tmp_path, PATIENTS)
    model, reader = built(recipe_of(tmp_path))
    whole = reader.held_out_group(range(6))
    numbers = impute_cells(model, whole)["number"]
    assert isinstance(numbers, torch.Tensor)
    alone = impute_cells(model, reader.held_out_group([1]))["number"]
    torch.testing.assert_close(alone, numbers[1:2], atol=1e-6, rtol=1e-5)
    raw = whole.raw["table"]
    number, present = raw["number"], raw["present"]
    assert isinstance(number, torch.Tensor)
    assert isinstance(present, torch.Tensor)
    noisy = {**raw, "number": torch.where(present, number, 7.0)}
    again = impute_cells(model, replace(whole, raw={"table": noisy}))["number"]
    assert isinstance(again, torch.Tensor)
    assert torch.equal(numbers, again)  # what stands in a gap's place says nothing
    moved = {**raw, "number": torch.where(present, number + 1.0, number)}
    other = impute_cells(model, replace(whole, raw={"table": moved}))["number"]
    assert isinstance(other, torch.Tensor)
    assert other[1, 1] != numbers[1, 1]


@pytest.mark.parametrize(
    "decoder",
    [
        SelfAttentionDecoder(width=16, depth=1, num_heads=2),
        CrossAttentionDecoder(width=16, depth=1, num_heads=2),
        SpanDecoder(modality="table", width=16, depth=1, num_heads=2),
    ],
    ids=lambda decoder: type(decoder).__name__,
)
def test_any_decoder_and_several_tables_will_do(tmp_path: Path, decoder: Decoder) -> None:
    write_patients(tmp_path, PATIENTS)
    write_cities(tmp_path)
    model, reader = built(masked_autoencoder(tmp_path, decoder))
    rows = impute_rows(model, reader)
    assert len(rows) == len(reader) == 10
    assert all(cell is not None for row in rows for cell in row.values())
    assert {tuple(row) for row in rows} == {
        ("population", "coast"),
        ("age", "weight_kg", "ward", "smoker", "admitted", "clinic"),
    }
    places = {row["population"]: row["coast"] for row in rows if "population" in row}
    assert places[8_900_000] is False


def test_a_table_without_gaps_stays_as_it_is(tmp_path: Path) -> None:
    write_patients(tmp_path, "age,target\n1,ill\n2,well\n")
    for recipe in (
        recipe_of(tmp_path),
        masked_autoencoder(tmp_path, recipe_of(tmp_path).decoders["main"]),
    ):
        model, reader = built(recipe)
        assert impute_rows(model, reader) == [{"age": 1}, {"age": 2}]


def test_features_are_not_cells(tmp_path: Path) -> None:
    write_patients(tmp_path, PATIENTS)
    objective = Objective(
        name="features", modality="table", target=TeacherFeatures(), loss=smooth_l1
    )
    model, reader = built(
        replace(recipe_of(tmp_path), objectives=(objective,), teacher=Teacher(decay=0.9))
    )
    with pytest.raises(RecipeError, match="restores hidden cells"):
        impute_rows(model, reader)


def test_observed_numbers_are_those_that_went_in(tmp_path: Path) -> None:
    write_patients(tmp_path, PATIENTS)
    model, reader = built(recipe_of(tmp_path))
    group = reader.held_out_group(range(len(reader)))
    before, after = group.raw["table"], impute_cells(model, group)
    present = before["present"]
    assert isinstance(present, torch.Tensor)
    for name in ("number", "code"):
        old, new = before[name], after[name]
        assert isinstance(old, torch.Tensor)
        assert isinstance(new, torch.Tensor)
        assert torch.equal(new[present], old[present]), name


def test_cells_that_a_narrower_table_does_not_have_are_no_gaps() -> None:
    columns = tuple(Column(name=name, kind="numeric") for name in "abc")
    tables = (Table(name="wide", columns=columns), Table(name="narrow", columns=columns[:1]))
    present = torch.tensor([[True, False, True], [False, False, False]])
    missing = _missing(TableCells(tables=tables), {"present": present, "table": (0, 1)})
    assert missing.tolist() == [[False, True, False], [True, False, False]]


def test_surplus_predictions_are_added_to_no_cell() -> None:
    plan = MaskPlan(
        visible_ids=torch.tensor([[0], [1]]),
        visible_ok=torch.ones(2, 1, dtype=torch.bool),
        predict_ids=torch.tensor([[1, 2], [0, 0]]),
        predict_ok=torch.tensor([[True, True], [True, False]]),
        num_visible=(1, 1),
        num_predict=(2, 1),
    )
    group = Group(stream="", raw={}, keys=torch.zeros(2, dtype=torch.int64), names=("", ""))
    view = View(group=group, tokens={}, layout=layout(table=part(3, [3, 2])))
    placed = _placed(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), plan, view)
    assert placed[..., 0].tolist() == [[0, 1, 2], [3, 0, 0]]
