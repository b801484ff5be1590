"""What is particular to tables: missing and unseen cells, several tables, target and loss."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from modalities.tabular import (
    Cells,
    Column,
    Table,
    TableCells,
    TableFiles,
    cell_loss,
    cells_to_frames,
    cells_to_rows,
)
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw
from tests.modalities.case_tabular import PATIENTS, edit_patients, make_case
from tests.modalities.tabular_tables import FILES, fit_text, read_all, write
from tests.steps import truth_of

# Cells


def test_numbers_are_standardised_and_read_back(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, PATIENTS, FILES)
    ages = np.array([34, 51, 29, 63, 47])
    age = modality.columns[0]
    assert (age.mean, age.std, age.low, age.high) == pytest.approx(
        (ages.mean(), ages.std(), 29.0, 63.0)
    )
    number = raw["number"]
    assert isinstance(number, torch.Tensor)
    assert number[0, 0].item() == pytest.approx((34 - ages.mean()) / ages.std(), abs=1e-6)
    first = {"age": 34, "weight_kg": pytest.approx(70.5), "ward": "north", "smoker": True}
    assert cells_to_rows(modality, raw)[0] == {**first, "admitted": "2024-01-05", "clinic": "A"}


def test_a_missing_cell_is_neither_valid_nor_scorable_and_zero_is_a_value(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, "a,b\n0,x\n,y\n5,\n")
    tokens = modality.split(raw)
    assert tokens.valid.tolist() == tokens.scorable.tolist()
    assert tokens.valid.tolist() == [[True, True], [False, True], [True, False]]
    assert cells_to_rows(modality, raw)[0]["a"] == 0


def test_a_row_without_any_cell_is_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, "a,b\n1,x\n,\n2,y\n")
    source = TableFiles().open(root, TableCells())
    assert [source.name(i) for i in range(2)] == ["patients.csv#row 0", "patients.csv#row 2"]


@pytest.mark.parametrize("value", ["0", "7", "-1e300", "1e-12", "north"])
def test_a_column_of_one_value_gives_no_nan(tmp_path: Path, value: str) -> None:
    modality, raw = fit_text(tmp_path, f"a,b\n1,{value}\n2,{value}\n")
    tokens = modality.split(raw)
    assert tokens.values.isfinite().all()
    truth = truth_of(Cells(), modality, tokens)
    predicted = torch.zeros(2, 2, Cells().num_predicted(modality, 0), requires_grad=True)
    loss = cell_loss(predicted, truth.values)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


def test_a_number_far_out_stays_finite(tmp_path: Path) -> None:
    modality, _ = fit_text(tmp_path, "a,b\n1,5\n2,5\n")
    held_out = read_all(TableFiles(), write(tmp_path, "a,b\n1e300,-1e300\n"), modality)
    assert modality.split(modality.collate(held_out)).values.isfinite().all()


def test_an_unseen_category_is_shown_as_its_column_and_is_no_truth(tmp_path: Path) -> None:
    modality, _ = fit_text(tmp_path, PATIENTS, FILES)
    root = str(edit_patients(tmp_path, "north", "roof").parent)
    raw = modality.collate(read_all(FILES, root, modality))
    tokens = modality.split(raw)
    known = truth_of(Cells(), modality, tokens).known
    assert bool(tokens.valid[0, 2])
    assert not known[0, 2]
    assert known[2, 2]
    assert cells_to_rows(modality, raw)[0]["ward"] == "<unseen>"
    embed = modality.embed(8)
    torch.testing.assert_close(embed(tokens.values[0, 2:3])[0], embed.bias[2])


def test_categories_beyond_the_most_share_a_class(tmp_path: Path) -> None:
    root = write(tmp_path, "a\n" + "x\n" * 5 + "y\n" * 3 + "p\nq\nr\n")
    source = TableFiles().open(root, TableCells())
    modality = TableCells(max_categories=2).fit(source)
    assert modality.columns[0].categories == ("x", "y", "<rare>")
    raw = modality.collate([source.read(i, Visit(key=0)) for i in (0, 5, 8, 10)])
    code = raw["code"]
    assert isinstance(code, torch.Tensor)
    assert code[:, 0].tolist() == [1, 2, 3, 3]


def test_tables_of_different_width_are_padded(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    modality = case.modality.fit(case.files.open(str(tmp_path), case.modality))
    samples = read_all(case.files, str(tmp_path), modality)  # pyright: ignore[reportArgumentType] this case's records are those of tables
    assert isinstance(modality, TableCells)
    raw = modality.collate([samples[0], samples[4]])
    tokens = modality.split(raw)
    assert raw["table"] == (0, 1)
    assert tokens.coords[1, :, 0].tolist() == [2, 3, 4, 5, 6, 7]
    assert tokens.coords[0, :2, 0].tolist() == [0, 1]
    assert tokens.valid[0].tolist() == [True, True, False, False, False, False]
    frames = cells_to_frames(modality, raw)
    assert list(frames["cities"].columns) == ["population", "coast"]
    assert frames["patients"]["ward"].tolist() == ["north"]


def test_all_rows_are_measured_of_a_small_table_beside_a_large_one(tmp_path: Path) -> None:
    write(tmp_path, "a\n" + "".join(f"{i}\n" for i in range(500)), "large.csv")
    write(tmp_path, "b\n1\n2\n", "small.csv")
    modality = TableCells().fit(TableFiles().open(str(tmp_path), TableCells()))
    assert modality.tables is not None
    assert [table.name for table in modality.tables] == ["large", "small"]
    assert modality.columns[0].high == 499.0


def test_an_unfitted_record_says_what_to_do() -> None:
    assert TableCells().num_tokens == 0
    with pytest.raises(RecipeError, match="call fit"):
        TableCells().embed(8)


# Target and loss


def numbers_and_categories() -> TableCells:
    columns = (
        Column(name="x", kind="numeric", mean=1.0, std=2.0),
        Column(name="two", kind="category", categories=("a", "b")),
        Column(name="three", kind="category", categories=("c", "d", "e")),
    )
    return TableCells(tables=(Table(name="t", columns=columns),))


def one_row() -> tuple[TableCells, Raw]:
    modality = numbers_and_categories()
    cells = {"x": 4.0, "two": "b", "three": "c"}
    kinds = {"x": "numeric", "two": "category", "three": "category"}
    return modality, modality.collate([{"table": "t", "kinds": kinds, "cells": cells}])


def test_the_loss_by_hand() -> None:
    modality, raw = one_row()
    truth = truth_of(Cells(), modality, modality.split(raw)).values
    assert truth[0].tolist() == [[1.5, 0, 0], [0, 1, 2], [0, 0, 3]]
    predicted = torch.tensor([[[1.0, 9, 9, 9], [9.0, 0, 1, 50], [9.0, 2, 0, 0]]])
    expected = [
        0.25,
        -math.log(math.e / (1 + math.e)),  # the third logit belongs to another column
        -math.log(math.e**2 / (math.e**2 + 2)),
    ]
    assert cell_loss(predicted, truth)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_restore_takes_the_likeliest_of_the_columns_own_categories() -> None:
    modality, raw = one_row()
    tokens = modality.split(raw)
    predicted = torch.tensor([[[0.5, 9, 9, 9], [9.0, 1, 0, 50], [9.0, 0, 0, 3]]])
    restored = Cells().restore(predicted, tokens)
    assert restored is not None
    row = cells_to_rows(modality, modality.join(restored, raw))[0]
    assert row == {"x": pytest.approx(2.0), "two": "a", "three": "e"}


def test_a_table_of_numbers_has_no_logits(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, "a,b\n1,2\n3,4\n")
    tokens, target = modality.split(raw), Cells()
    assert target.num_predicted(modality, 0) == 1
    predicted = tokens.values[..., 1:2]
    assert cell_loss(predicted, truth_of(target, modality, tokens).values).sum() == 0
    restored = target.restore(predicted, tokens)
    assert restored is not None
    assert torch.equal(restored, tokens.values)


def test_missing_cells_are_filled_in_on_request(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, "a,b\n1,x\n,y\n3,\n")
    tokens = modality.split(raw)
    restored = Cells().restore(torch.zeros(3, 2, 3), tokens)
    assert restored is not None
    rows = cells_to_rows(modality, modality.join(restored, raw), fill_missing=True)
    assert rows[1]["a"] == 2
    assert rows[2]["b"] == "x"


# Pictures


def test_the_picture_escapes_names_and_leaves_columns_out(tmp_path: Path) -> None:
    names = ["<b>", "cost $", *(f"c{i}" for i in range(40))]
    text = ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n"
    modality, raw = fit_text(tmp_path, text)
    tokens = modality.split(raw)
    drawing = modality.draw(raw, visible=tokens.valid, filled=tokens.values, index=0)
    assert "&lt;b&gt;" in drawing.html
    assert "c39" in drawing.html
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert "and 30 more columns" in texts
