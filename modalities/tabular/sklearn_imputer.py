"""OmniMaskImputer: ReMasker on one table in memory, as a scikit-learn transformer."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from modalities.tabular.files import TableFiles
from modalities.tabular.frame import (
    TABLE,
    FrameColumn,
    array_columns,
    check_rows,
    encode_columns,
    fill_series,
    frame_columns,
    has_other_than_numbers,
    measured,
    take_rows,
)
from modalities.tabular.imputing.cells import impute_cells
from modalities.tabular.losses import scaled_cell_loss
from modalities.tabular.modality import TableCells
from modalities.tabular.schema import Table
from modalities.tabular.targets import ScaledCells
from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.rng import fold_key, permutation
from omnimask.masking import PredictVisible, RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Stream
from omnimask.tokens.tokens import Group, Raw
from omnimask.training.optimisation import build_optimizer, set_schedules
from omnimask.training.step import MaskedModel, build_model

if TYPE_CHECKING:
    import pandas

_ROWS_AT_ONCE = 1024


class OmniMaskImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fills missing cells from the observed ones of their row, by a masked model of the table.

    `fit` trains ReMasker (https://arxiv.org/abs/2309.13793) on the rows as they are, with their
    gaps; `transform` predicts what is missing and leaves every observed cell as it is. Arrays hold
    numbers, with NaN where one is missing. DataFrames may have columns of numbers, truth values,
    dates and categories (any other type), and come back as DataFrames if any is not a number.
    Predicted numbers lie in the range of the training rows; a column without any training cell is
    filled with zeros (categories stay missing).

    Parameters
    ----------
    n_steps : int, default 600
        Optimisation steps, each on `batch_size` rows.
    max_time : float or None, default None
        Seconds after which training stops early. What is learnt then depends on the machine.
    batch_size : int, default 64
    width, depth, decoder_depth : int, defaults 32, 4 and 2
        Of the encoder and its decoder, with 4 heads each: the paper's smallest size.
    mask_ratio : float, default 0.5
        Share of a row's observed cells that training hides.
    lr : float, default 1e-3
        Highest learning rate, for AdamW.
    random_state : int, RandomState or None, default None
        The same number gives the same weights on the same machine and number of threads.

    Attributes
    ----------
    model_ : the trained MaskedModel.  n_steps_ : steps that were made.
    """

    def __init__(
        self,
        *,
        # Any, because scikit-learn wants wrong values to be refused by `fit`, not here.
        n_steps: Any = 600,
        max_time: Any = None,
        batch_size: Any = 64,
        width: Any = 32,
        depth: Any = 4,
        decoder_depth: Any = 2,
        mask_ratio: Any = 0.5,
        lr: Any = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.n_steps = n_steps
        self.max_time = max_time
        self.batch_size = batch_size
        self.width = width
        self.depth = depth
        self.decoder_depth = decoder_depth
        self.mask_ratio = mask_ratio
        self.lr = lr
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "OmniMaskImputer":  # noqa: N803 scikit-learn's name
        """Trains on the rows of `X` (n_samples, n_features); `y` is ignored."""
        if self.n_steps < 1:
            raise ValueError(f"n_steps must be 1 or more, got {self.n_steps}")
        self._mixed_ = _is_mixed(X)
        columns, _ = self._columns(X, reset=True)
        check_rows(columns)
        fitted = [measured(column) for column in columns]
        self.table_ = Table(name=TABLE, columns=tuple(column for column, _ in fitted))
        self.words_ = tuple(words for _, words in fitted)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        raw = encode_columns(columns, self.table_, self.words_)
        self.model_, self.n_steps_ = self._train(raw, seed)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """`X` with its missing cells filled."""
        check_is_fitted(self)
        columns, checked = self._columns(X, reset=False)
        missing = np.stack([np.isnan(column.cells) for column in columns], axis=1)
        raw = encode_columns(columns, self.table_, self.words_)
        numbers, codes = self._predict(raw, missing)
        if not self._mixed_:
            return np.where(missing, numbers, checked).astype(checked.dtype, copy=False)
        filled = checked.copy(deep=False)
        for j, column in enumerate(columns):
            gaps = missing[:, j]
            if not self.table_.columns[j].is_number:
                if not self.words_[j]:
                    continue
                values = np.empty(int(gaps.sum()), dtype=object)
                values[:] = [self.words_[j][code - 1] for code in codes[gaps, j].clip(min=1)]
            else:
                values = numbers[gaps, j]
            filled.isetitem(j, fill_series(checked.iloc[:, j], gaps, values, column.kind))
        return filled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _columns(self, X: Any, *, reset: bool) -> tuple[list[FrameColumn], Any]:  # noqa: N803
        """The columns of `X` and `X` checked, as an array or a DataFrame."""
        if not self._mixed_:
            checked = validate_data(
                self, X, reset=reset, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan"
            )
            cells = np.asarray(checked)
            return array_columns(cells), cells
        frame: pandas.DataFrame = X
        validate_data(self, X, reset=reset, skip_check_array=True)
        if not _is_frame(frame):
            raise TypeError(f"fitted on a DataFrame, expected one, got {type(frame).__name__}")
        return frame_columns(frame), frame

    def _train(self, raw: Raw, seed: int) -> tuple[MaskedModel, int]:
        num_present = raw["num_present"]
        assert isinstance(num_present, tuple)
        usable = np.flatnonzero(np.array(num_present) > 0)
        recipe = self._recipe(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_model(recipe).train()
        optimizer = build_optimizer(model, recipe.optim)
        weights = {objective.name: objective.weight for objective in recipe.objectives}
        started, step = time.monotonic(), 0
        while step < self.n_steps and not (step and self._is_late(started)):
            set_schedules(optimizer, recipe.optim, step)
            rows = usable[_batch(len(usable), self.batch_size, step, seed)]
            outcome = model([_group(raw, rows, seed, step)], step / self.n_steps)
            optimizer.zero_grad(set_to_none=True)
            outcome.loss(weights).backward()
            optimizer.step()
            step += 1
        return model.eval(), step

    def _is_late(self, started: float) -> bool:
        return self.max_time is not None and time.monotonic() - started >= self.max_time

    def _recipe(self, seed: int) -> Recipe:
        def one(name: str, where: Any) -> Objective:
            return Objective(
                name=name, modality=TABLE, target=ScaledCells(), loss=scaled_cell_loss, where=where
            )

        return Recipe(
            name="imputer",
            modalities=(TableCells(name=TABLE, tables=(self.table_,)),),
            masker=PredictVisible(masker=RandomMask(ratio=self.mask_ratio)),
            encoder=Encoder(width=self.width, depth=self.depth, num_heads=4),
            decoders={
                "main": SelfAttentionDecoder(
                    width=self.width, depth=self.decoder_depth, num_heads=4
                )
            },
            objectives=(one("table_hidden", "hidden"), one("table_shown", "visible")),
            data=Data(root=".", streams=(Stream(name=TABLE, files={TABLE: TableFiles()}),)),
            optim=Optim(
                steps=self.n_steps,
                lr=self.lr,
                final_lr=self.lr / 100,
                warmup_steps=self.n_steps // 15,
                weight_decay=0.01,
                betas=(0.9, 0.95),
                clip_norm=None,
            ),
            seed=seed,
        )

    def _predict(self, raw: Raw, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers in the table's units, and codes; of rows with gaps, in the others as they are."""
        means = np.array([column.mean for column in self.table_.columns])
        scales = np.array([column.scale for column in self.table_.columns])
        numbers, codes = np.tile(means, (len(missing), 1)), np.ones(missing.shape, np.int64)
        observed = ~missing.all(axis=1)  # a row without any cell gets means and the first category
        rows = np.flatnonzero(missing.any(axis=1) & observed)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            filled = impute_cells(self.model_, _group(raw, some, 0, 0))
            number, code = filled["number"], filled["code"]
            assert isinstance(number, torch.Tensor)
            assert isinstance(code, torch.Tensor)
            numbers[some] = number.double().cpu().numpy() * scales + means
            codes[some] = code.cpu().numpy()
        low = np.array([column.low for column in self.table_.columns])
        high = np.array([column.high for column in self.table_.columns])
        return numbers.clip(low, high), codes


def _is_frame(X: Any) -> bool:  # noqa: N803
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _is_mixed(X: Any) -> bool:  # noqa: N803
    return _is_frame(X) and has_other_than_numbers(X)


def _batch(num_rows: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """The places of one step's rows in an endless sequence of permutations."""
    size = min(batch_size, num_rows)
    epoch, place = divmod(step, max(num_rows // size, 1))
    return permutation(num_rows, seed, "rows", epoch)[place * size : (place + 1) * size]


def _group(raw: Raw, rows: np.ndarray, seed: int, step: int) -> Group:
    keys = torch.tensor([fold_key(seed, step, int(row)) for row in rows])
    names = tuple(str(row) for row in rows)
    return Group(stream=TABLE, raw={TABLE: take_rows(raw, rows)}, keys=keys, names=names)
