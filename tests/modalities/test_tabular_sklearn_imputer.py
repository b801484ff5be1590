"""OmniMaskImputer is a scikit-learn transformer, and learns from a table with gaps."""

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from modalities.tabular import OmniMaskImputer


def tiny() -> "OmniMaskImputer":
    from modalities.tabular import OmniMaskImputer  # it brings scikit-learn along

    return OmniMaskImputer(n_steps=2, width=8, depth=1, decoder_depth=1, random_state=0)


def test_scikit_learns_own_checks():
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(tiny(), on_skip=None)
    assert [result["check_name"] for result in results if result["status"] == "failed"] == []
    assert sum(result["status"] == "passed" for result in results) > 30


def with_gaps(num_rows: int = 64) -> np.ndarray:
    """Three columns that say the same in different units, and a constant one; 20 % missing."""
    random = np.random.default_rng(0)
    first = random.uniform(-1, 1, num_rows)
    cells = np.stack([first, 50 - 10 * first, 1e4 * first, np.full(num_rows, 7.0)], axis=1)
    gaps = random.random(cells.shape) < 0.2
    gaps[gaps.all(axis=1), 0] = False
    return np.where(gaps, np.nan, cells)


def test_observed_cells_stay_and_gaps_are_in_range():
    cells = with_gaps()
    filled = tiny().fit_transform(cells)
    observed = ~np.isnan(cells)
    assert np.array_equal(filled[observed], cells[observed])
    assert (filled >= np.nanmin(cells, axis=0)).all()
    assert (filled <= np.nanmax(cells, axis=0)).all()
    assert (filled[:, 3] == 7.0).all()


def test_the_same_seed_gives_the_same_and_leaves_torchs_generator_alone():
    cells = with_gaps()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = (tiny().fit_transform(cells) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(first, again)
    assert not np.array_equal(first, tiny().set_params(random_state=1).fit_transform(cells))


def test_it_learns_what_a_mean_cannot():
    from sklearn.impute import SimpleImputer

    from modalities.tabular import OmniMaskImputer

    cells = with_gaps(128)
    whole = np.stack([cells[:, 0], 50 - 10 * cells[:, 0], 1e4 * cells[:, 0]], axis=1)
    known = np.isnan(cells[:, 1]) & ~np.isnan(cells[:, 0])
    imputer = OmniMaskImputer(n_steps=150, width=16, depth=1, decoder_depth=1, random_state=0)
    ours = imputer.fit_transform(cells)[known, 1] - whole[known, 1]
    mean = SimpleImputer().fit_transform(cells)[known, 1] - whole[known, 1]
    assert np.square(ours).mean() < 0.25 * np.square(mean).mean()


def test_transform_fills_rows_it_has_not_seen_and_each_alone():
    imputer = tiny().fit(with_gaps())
    rows = np.array([[0.5, np.nan, 5e3, 7.0], [np.nan, 45.0, np.nan, np.nan], [np.nan] * 4])
    together = imputer.transform(rows)
    assert np.isfinite(together).all()
    for row, expected in zip(rows, together):
        np.testing.assert_allclose(imputer.transform(row[None])[0], expected, rtol=1e-5)
    assert np.array_equal(pickle.loads(pickle.dumps(imputer)).transform(rows), together)


def test_time_runs_out():
    assert tiny().set_params(n_steps=10**6, max_time=0.0).fit(with_gaps()).n_steps_ == 1


def test_frames_of_all_kinds_come_back_as_frames():
    import pandas as pd

    frame = pd.DataFrame(
        {
            "age": pd.array([34, None, 29, 63, 40, 41], dtype="Int64"),
            "weight": [70.5, np.nan, 58.25, 81.0, 60.0, 77.0],
            "ward": ["north", "south", None, "east", "north", "north"],
            "grade": pd.Categorical(["a", "b", None, "a", "a", "b"], categories=["a", "b", "c"]),
            "smoker": pd.array([True, None, False, True, False, True], dtype="boolean"),
            "admitted": pd.to_datetime(["2024-01-05", None, "2024-02-11", "2024-03-01"] * 2)[:6],
        }
    )
    filled = tiny().fit_transform(frame)
    assert not filled.isna().any().any()
    assert filled.dtypes.equals(frame.dtypes)
    observed = frame.notna()
    assert filled.where(observed).equals(frame.where(observed))
    assert filled["ward"][2] in ("north", "south", "east")
    assert filled["grade"][2] in ("a", "b")
    assert 29 <= filled["age"][1] <= 63
    assert filled["admitted"].between("2024-01-05", "2024-03-01").all()


def test_a_category_that_training_rows_did_not_have_stays():
    import pandas as pd

    frame = pd.DataFrame({"ward": ["a", "b", None, "a"], "age": [1.0, 2.0, 1.0, np.nan]})
    imputer = tiny().fit(frame)
    other = imputer.transform(pd.DataFrame({"ward": ["new", None], "age": [np.nan, 2.0]}))
    assert other["ward"][0] == "new"
    assert other["ward"][1] in ("a", "b")
    assert 1.0 <= other["age"][0] <= 2.0


def test_it_stands_in_a_pipeline_and_keeps_names():
    import pandas as pd
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.DataFrame(with_gaps(), columns=list("abcd"))
    pipeline = make_pipeline(tiny(), StandardScaler()).set_output(transform="pandas")
    out = pipeline.fit_transform(frame)
    assert list(out.columns) == list("abcd")
    assert not out.isna().any().any()


@pytest.mark.parametrize(
    ("cells", "parameters", "message"),
    [
        (np.full((3, 2), np.nan), {}, "every cell is missing"),
        (with_gaps(), {"n_steps": 0}, "n_steps must be 1 or more"),
    ],
)
def test_what_cannot_be_learnt_is_said(cells: np.ndarray, parameters: dict, message: str):
    with pytest.raises(ValueError, match=message):
        tiny().set_params(**parameters).fit(cells)
