"""The benchmark hides what it says, tells imputers nothing of it, and writes its table in place."""

import json
from pathlib import Path

import numpy as np
import pytest

from tools import bench_imputation
from tools.bench_imputation import IMPUTERS, hide_cells, load_table, run_all, write_table


def test_a_third_of_the_cells_is_hidden_and_never_a_whole_row():
    cells = load_table("iris")
    assert (cells.min(axis=0) == 0).all()
    assert (cells.max(axis=0) == 1).all()
    hidden = hide_cells(np.zeros((5000, 4)), seed=0)
    assert hidden.mean() == pytest.approx(0.3, abs=0.02)
    assert not hidden.all(axis=1).any()
    assert (hidden != hide_cells(np.zeros((5000, 4)), seed=1)).any()


def test_scores_are_those_of_hidden_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fill_with_half(gaps: np.ndarray, seed: int) -> np.ndarray:
        return np.where(np.isnan(gaps), 0.5, 9.0)  # observed cells do not count

    monkeypatch.setitem(IMPUTERS, "mean", fill_with_half)
    run_all(tmp_path, ["iris"], ["mean"], 2)
    result = json.loads((tmp_path / "iris" / "mean" / "seed-1" / "result.json").read_text())
    cells = load_table("iris")
    errors = (cells - 0.5)[hide_cells(cells, 1)]
    assert result["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->old<!-- /results -->\nafter\n")
    write_table(tmp_path, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| mean | 0." in text
    assert "old" not in text
    assert f"threads {result['hardware']['threads']}" in text
    assert f"scikit-learn {result['versions']['scikit-learn']}." in text


@pytest.mark.parametrize("imputer", ["ReMasker", "OmniMaskImputer"])
def test_remasker_fills_the_gaps_of_its_own_table(imputer: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_imputation, "MOST_STEPS", 2)
    cells = load_table("iris")
    gaps = np.where(hide_cells(cells, 0), np.nan, cells)
    filled = IMPUTERS[imputer](gaps, 0)
    assert filled.shape == cells.shape
    assert np.isfinite(filled).all()
    observed = ~np.isnan(gaps)
    np.testing.assert_allclose(filled[observed], cells[observed], atol=1e-6)
