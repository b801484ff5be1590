"""Several labels of the same samples: what a linear probe reads of each from frozen features.

Every label column is fitted by least squares on whitened features (scikit-learn's ridge, the
penalty by leave-one-out on training samples), so that dozens of columns in several feature spaces
take seconds. Spaces are compared on the same held-out samples, resampled together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Label
from omnimask.transfer.intervals import bootstrap_interval, r2
from omnimask.transfer.probing.knn import Features, whiten
from omnimask.transfer.probing.linear import FOLDS, PENALTIES

RESAMPLES = 300
Columns = Mapping[str, Sequence[Label]]
"""A label per sample, by column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number of held-out samples with its 95 % interval, by the percentile bootstrap."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        return self.low > 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnScore:
    """`values` by feature space: accuracy where labels are class names, else R². `chance` is what
    the commonest training class gives, 0 for R².
    """

    column: str
    measure: str
    chance: float
    values: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnScores:
    """All columns of one stream. A column's skill is (accuracy - chance) / (1 - chance), or R²;
    `skill` is its mean over columns, by space, and `ahead` how far the first space is above each
    other one. `left_out` says why a column has no score. A column with
    class names and numbers has one score for each.
    """

    stream: str
    num_train: int
    num_test: int
    scores: tuple[ColumnScore, ...]
    skill: Mapping[str, Estimate]
    ahead: Mapping[str, Estimate]
    left_out: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answers:
    """The held-out samples of one column: what is true, and what each space says."""

    known: Shaped[np.ndarray, " n"]  # which samples have a label
    truth: Shaped[np.ndarray, " n"]
    said: Mapping[str, Shaped[np.ndarray, " n"]]
    chance: float
    kind: type[str] | type[float]

    def scores(self, space: str, rows: Shaped[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
        """Accuracy or R² of each row of sample numbers."""
        if self.kind is str:
            known = self.known[rows]
            right = (self.said[space] == self.truth)[rows] & known
            return right.sum(1) / np.maximum(known.sum(1), 1)
        if self.known.all():
            return r2(self.truth[rows], self.said[space][rows])
        kept = [row[self.known[row]] for row in rows]
        return np.array([r2(self.truth[row], self.said[space][row]) for row in kept])


def probe_columns(
    stream: str,
    train: Mapping[str, Sequence[Float[np.ndarray, "n d"]]],
    test: Mapping[str, Sequence[Float[np.ndarray, "m d"]]],
    known: Columns,
    asked: Columns,
) -> ColumnScores | None:
    """Scores of every label column in every space; None where no column can be probed.

    `train` and `test`: by space, the features of one or more encoders, whose scores are averaged.
    `known` and `asked`: the labels of training and held-out samples. Raises DataError where the
    two sides have different columns.
    """
    if known.keys() != asked.keys():
        raise DataError(
            f"stream {stream}: training samples have the label columns {sorted(known)}, held-out "
            f"ones {sorted(asked)}; give both the same"
        )
    questions = [(column, kind) for column in known for kind in _kinds(known[column])]
    reasons = {q: _why_not(known[q[0]], asked[q[0]], q[1]) for q in questions}
    left_out = {column: why for (column, _), why in reasons.items() if why is not None}
    questions = [question for question in questions if reasons[question] is None]
    if not questions:
        return None
    members = {
        f"{space}/{number}": whiten(_plain(values), _plain(other))
        for space, encoders in train.items()
        for number, (values, other) in enumerate(zip(encoders, test[space], strict=True))
    }
    answers = [_answer(members, known[column], asked[column], kind) for column, kind in questions]
    count = len(next(iter(asked.values())))
    spaces = {space: [f"{space}/{n}" for n in range(len(train[space]))] for space in train}
    found = _estimates(answers, spaces, count)
    scores = tuple(
        ColumnScore(
            column=column,
            measure="accuracy" if answer.kind is str else "R²",
            chance=answer.chance,
            values=dict(zip(spaces, values, strict=True)),
        )
        for (column, _), answer, values in zip(questions, answers, found.columns, strict=True)
    )
    others = list(spaces)[1:]
    return ColumnScores(
        stream=stream,
        num_train=len(next(iter(known.values()))),
        num_test=count,
        scores=scores,
        skill=dict(zip(spaces, found.skill, strict=True)),
        ahead=dict(zip(others, found.ahead, strict=True)),
        left_out=left_out,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Estimates:
    columns: list[list[Estimate]]
    skill: list[Estimate]
    ahead: list[Estimate]


def _estimates(
    answers: Sequence[_Answers], spaces: Mapping[str, Sequence[str]], count: int
) -> _Estimates:
    """All numbers of one bootstrap over samples, so that differences are of the same resamples."""

    def measure(rows: Shaped[np.ndarray, "r n"]) -> Float[np.ndarray, "k r"]:
        scores = [
            [np.mean([each.scores(m, rows) for m in members], 0) for members in spaces.values()]
            for each in answers
        ]
        chance = np.array([each.chance for each in answers])[:, None, None]
        skill = ((np.array(scores) - chance) / (1.0 - chance)).mean(0)
        return np.concatenate([*map(np.array, scores), skill, skill[:1] - skill[1:]])

    low, high = bootstrap_interval(measure, count, resamples=RESAMPLES)
    values = measure(np.arange(count)[None])[:, 0]
    numbers = [
        Estimate(value=float(v), low=float(a), high=float(b))
        for v, a, b in zip(values, low, high, strict=True)
    ]
    width, ends = len(spaces), len(spaces) * len(answers)
    return _Estimates(
        columns=[numbers[i : i + width] for i in range(0, ends, width)],
        skill=numbers[ends : ends + width],
        ahead=numbers[ends + width :],
    )


def _answer(
    members: Mapping[str, tuple[Features, Features]],
    known: Sequence[Label],
    asked: Sequence[Label],
    kind: type[str] | type[float],
) -> _Answers:
    classes = kind is str
    rows = [i for i, label in enumerate(known) if isinstance(label, kind)]
    labels = np.array([known[i] for i in rows])
    there = np.array([isinstance(label, kind) for label in asked])
    blank = "" if classes else 0.0
    truth = np.array([x if ok else blank for x, ok in zip(asked, there, strict=True)])
    return _Answers(
        known=there,
        truth=truth,
        said={
            name: _fit(train.values[rows], labels, test.values, classes)
            for name, (train, test) in members.items()
        },
        chance=_chance(labels, truth[there]) if classes else 0.0,
        kind=kind,
    )


def _fit(
    values: Float[np.ndarray, "n d"],
    labels: Shaped[np.ndarray, " n"],
    asked: Float[np.ndarray, "m d"],
    classes: bool,
) -> Shaped[np.ndarray, " m"]:
    from sklearn.linear_model import RidgeClassifierCV, RidgeCV

    model = (RidgeClassifierCV if classes else RidgeCV)(PENALTIES)
    return np.asarray(model.fit(values, labels).predict(asked))


def _chance(labels: Shaped[np.ndarray, " n"], truth: Shaped[np.ndarray, " m"]) -> float:
    names, counts = np.unique(labels, return_counts=True)
    return float(np.mean(truth == names[counts.argmax()]))


def _plain(values: Float[np.ndarray, "n d"]) -> Features:
    return Features(values=values, labels=(None,) * len(values))


def _kinds(labels: Sequence[Label]) -> list[type[str] | type[float]]:
    """Whether there are class names, numbers or both among them."""
    return [kind for kind in (str, float) if any(isinstance(label, kind) for label in labels)]


def _why_not(
    known: Sequence[Label], asked: Sequence[Label], kind: type[str] | type[float]
) -> str | None:
    """Why labels of a kind cannot be probed; None if they can."""
    train = [label for label in known if isinstance(label, kind)]
    test = [label for label in asked if isinstance(label, kind)]
    if len(train) < FOLDS or len(test) < 2:
        return f"{len(train)} training and {len(test)} held-out samples have such a label"
    for what, labels in (("training", train), ("held-out", test)):
        if len(set(labels)) < 2:
            return f"every {what} sample has the label {labels[0]!r}"
    return None
