"""Numbers as shares of their column's range."""

import math
from pathlib import Path

import pytest
import torch

from modalities.tabular import ScaledCells, scaled_cell_loss
from modalities.tabular.tokens import CODE, NUMBER
from tests.modalities.case_tabular import PATIENTS
from tests.modalities.tabular_tables import FILES, fit_text
from tests.steps import truth_of


def test_a_number_is_its_share_of_the_columns_range(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, PATIENTS, FILES)
    truth = truth_of(ScaledCells(), modality, modality.split(raw))
    ages = [34, 51, 29, 63]
    expected = [(age - 29) / (63 - 29) for age in ages]
    assert truth.values[:4, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    # Dates are numbers too: the third row is the earliest, the fifth the latest.
    assert truth.values[[2, 4], 4, 0].tolist() == pytest.approx([0, 1], abs=1e-5)
    # The ward, a category, keeps its class and number of classes.
    assert truth.values[0, 2].tolist() == [0, 0, 3]
    assert not truth.known[1, 1]


def test_the_loss_by_hand() -> None:
    truth = torch.tensor([[[0.75, 0, 0], [0, 1, 2]]])
    predicted = torch.tensor([[[0.0, 9, 9], [9.0, 0, 1]]])
    expected = [(0.5 - 0.75) ** 2, -math.log(math.e / (1 + math.e))]
    assert scaled_cell_loss(predicted, truth)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_restore_undoes_the_scaling(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, PATIENTS, FILES)
    tokens = modality.split(raw)
    truth = truth_of(ScaledCells(), modality, tokens)
    shares = truth.values[..., :1].clamp(1e-6, 1 - 1e-6).logit()
    classes = torch.nn.functional.one_hot(truth.values[..., 1].long(), 3).float()
    restored = ScaledCells().restore(torch.cat([shares, classes], dim=-1), tokens)
    assert restored is not None
    for place in (NUMBER, CODE):
        torch.testing.assert_close(
            restored[..., place][truth.known],
            tokens.values[..., place][truth.known],
            atol=1e-4,
            rtol=0.0,
        )


def test_a_column_of_one_value_has_share_zero_and_comes_back(tmp_path: Path) -> None:
    modality, raw = fit_text(tmp_path, "a,b\n1,7\n2,7\n")
    tokens = modality.split(raw)
    assert truth_of(ScaledCells(), modality, tokens).values[:, 1, 0].tolist() == [0, 0]
    restored = ScaledCells().restore(torch.full((2, 2, 1), 3.0), tokens)
    assert restored is not None
    assert torch.equal(restored[:, 1], tokens.values[:, 1])
