"""From features to the numbers of the probe table."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from omnimask.report.evaluate import StreamFeatures
from omnimask.transfer.probing.columns import ColumnScores, probe_columns
from omnimask.transfer.probing.knn import (
    Features,
    Score,
    knn_accuracy,
    knn_r2,
    majority_share,
    whiten,
)

NUM_NEIGHBOURS = 10

Probe = Callable[[Features, Features, int], Score]


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamScore:
    """kNN on one stream's labels: `measure` is "accuracy" (class names) or "R²" (numbers).

    `untrained` has one value per random encoder. `chance` is the commonest class's share, or 0 for
    R², which is what the mean label scores.
    """

    stream: str
    measure: str
    num_classes: int
    trained: Score
    untrained: tuple[float, ...]
    raw: float
    chance: float

    @property
    def untrained_mean(self) -> float:
        return float(np.mean(self.untrained))

    @property
    def untrained_deviation(self) -> float:
        return float(np.std(self.untrained, ddof=1)) if len(self.untrained) > 1 else 0.0


def score_columns(features: StreamFeatures) -> ColumnScores | None:
    """What a linear probe reads of every label, from the trained encoder beside the others."""
    spaces = {"trained": (features.trained,), "untrained": features.untrained}
    spaces["raw"] = (features.raw,)
    train, test = (
        {name: [pair[side].values for pair in pairs] for name, pairs in spaces.items()}
        for side in (0, 1)
    )
    return probe_columns(features.stream, train, test, *features.columns)


def score_stream(features: StreamFeatures) -> list[StreamScore]:
    """Class names by accuracy and numbers by R², separately where a stream has both."""
    train, test = features.trained
    scores = []
    if train.with_classes().labels and test.with_classes().labels:
        scores.append(
            _score(
                features,
                knn_accuracy,
                measure="accuracy",
                keep=Features.with_classes,
                chance=majority_share(train, test),
            )
        )
    if train.with_numbers().labels and test.with_numbers().labels:
        scores.append(
            _score(features, knn_r2, measure="R²", keep=Features.with_numbers, chance=0.0)
        )
    return scores


def _score(
    features: StreamFeatures,
    probe: Probe,
    *,
    measure: str,
    keep: Callable[[Features], Features],
    chance: float,
) -> StreamScore:
    def run(pair: tuple[Features, Features]) -> Score:
        train, test = whiten(keep(pair[0]), keep(pair[1]))
        return probe(train, test, NUM_NEIGHBOURS)

    classes = {label for label in features.trained[0].labels if isinstance(label, str)}
    return StreamScore(
        stream=features.stream,
        measure=measure,
        num_classes=len(classes) if measure == "accuracy" else 0,
        trained=run(features.trained),
        untrained=tuple(run(pair).value for pair in features.untrained),
        raw=run(features.raw).value,
        chance=chance,
    )
