"""From one stream's encoded samples to the scores of every probe."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from omnimask.transfer.intervals import r2, r2_interval, wilson_interval
from omnimask.transfer.probing.attentive import Attentive, attend
from omnimask.transfer.probing.features import Side
from omnimask.transfer.probing.few_shot import few_shot_accuracy
from omnimask.transfer.probing.knn import (
    Features,
    knn_accuracy,
    knn_r2,
    majority_share,
    whiten,
)
from omnimask.transfer.probing.linear import linear_accuracy, ridge_r2
from omnimask.transfer.probing.results import ProbeScore
from omnimask.transfer.probing.settings import Probes

NUM_NEIGHBOURS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Training and held-out samples by one encoder."""

    train: Side
    test: Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    value: float
    low: float
    high: float
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """One probe of one layer; `measure` does it for one encoder, `chance` is what nothing gives."""

    name: str
    layer: int
    chance: float
    measure: Callable[[Pair], Measured]


def score_pairs(
    stream: str,
    pairs: Sequence[Pair],
    settings: Probes,
    *,
    layers: Sequence[int],
    few_shot: Sequence[int],
    device: torch.device,
) -> list[ProbeScore]:
    """Scores of the first pair beside those of the others, which are of random encoders.

    Class names are scored by accuracy and numbers by R², separately where a stream has both.
    """
    scores = []
    for of_classes in (True, False):
        keep = Features.with_classes if of_classes else Features.with_numbers
        train, test = (keep(_pooled(side, layers[0])) for side in (pairs[0].train, pairs[0].test))
        if not train.labels or not test.labels:
            continue
        measures = (
            _of_classes(train, test, settings, layers, few_shot)
            if of_classes
            else _of_numbers(layers)
        )
        probes = [*measures, *_attentive(settings, of_classes, train, test, device)]
        for probe in probes:
            found = [probe.measure(pair) for pair in pairs]
            scores.append(
                ProbeScore(
                    stream=stream,
                    probe=probe.name,
                    layer=probe.layer,
                    measure="accuracy" if of_classes else "R²",
                    value=found[0].value,
                    low=found[0].low,
                    high=found[0].high,
                    random=tuple(each.value for each in found[1:]),
                    chance=probe.chance,
                    num_train=len(train.labels),
                    num_test=len(test.labels),
                    num_classes=len(set(train.labels)) if of_classes else 0,
                    detail=found[0].detail,
                )
            )
    return scores


def _of_classes(
    train: Features,
    test: Features,
    settings: Probes,
    layers: Sequence[int],
    few_shot: Sequence[int],
) -> Iterator[_Probe]:
    majority, classes = majority_share(train, test), len(set(train.labels))
    for layer in layers:
        yield _Probe(name="knn", layer=layer, chance=majority, measure=_knn(layer, True))
        yield _Probe(name="linear", layer=layer, chance=majority, measure=_linear(layer, True))
        for k in few_shot:
            yield _Probe(
                name=f"few-shot {k}",
                layer=layer,
                chance=1 / classes,
                measure=_few_shot(layer, k, settings),
            )


def _of_numbers(layers: Sequence[int]) -> Iterator[_Probe]:
    for layer in layers:
        yield _Probe(name="knn", layer=layer, chance=0.0, measure=_knn(layer, False))
        yield _Probe(name="linear", layer=layer, chance=0.0, measure=_linear(layer, False))


def _attentive(
    settings: Probes, of_classes: bool, train: Features, test: Features, device: torch.device
) -> Iterator[_Probe]:
    if settings.attentive is None:
        return
    measure = _by_attention(settings.attentive, of_classes, settings.seed, device)
    chance = majority_share(train, test) if of_classes else 0.0
    yield _Probe(name="attentive", layer=-1, chance=chance, measure=measure)


def _pooled(side: Side, layer: int) -> Features:
    return Features(values=side.pooled[layer], labels=side.labels)


def _whitened(pair: Pair, layer: int, of_classes: bool) -> tuple[Features, Features]:
    keep = Features.with_classes if of_classes else Features.with_numbers
    return whiten(keep(_pooled(pair.train, layer)), keep(_pooled(pair.test, layer)))


def _knn(layer: int, of_classes: bool) -> Callable[[Pair], Measured]:
    probe = knn_accuracy if of_classes else knn_r2

    def measure(pair: Pair) -> Measured:
        score = probe(*_whitened(pair, layer, of_classes), NUM_NEIGHBOURS)
        return Measured(
            value=score.value, low=score.low, high=score.high, detail=f"{score.k} neighbours"
        )

    return measure


def _linear(layer: int, of_classes: bool) -> Callable[[Pair], Measured]:
    probe = linear_accuracy if of_classes else ridge_r2
    name = "C" if of_classes else "ridge alpha"

    def measure(pair: Pair) -> Measured:
        score = probe(*_whitened(pair, layer, of_classes))
        return Measured(
            value=score.value, low=score.low, high=score.high, detail=f"{name}={score.strength:g}"
        )

    return measure


def _few_shot(layer: int, k: int, settings: Probes) -> Callable[[Pair], Measured]:
    def measure(pair: Pair) -> Measured:
        train, test = _whitened(pair, layer, True)
        value, low, high = few_shot_accuracy(
            train, test, k=k, episodes=settings.episodes, seed=settings.seed
        )
        return Measured(value=value, low=low, high=high, detail=f"{settings.episodes} episodes")

    return measure


def _by_attention(
    settings: Attentive, of_classes: bool, seed: int, device: torch.device
) -> Callable[[Pair], Measured]:
    def measure(pair: Pair) -> Measured:
        kind = str if of_classes else float
        known, asked = (
            [i for i, label in enumerate(side.labels) if isinstance(label, kind)]
            for side in (pair.train, pair.test)
        )
        labels = [pair.train.labels[i] for i in known]
        names = sorted({str(label) for label in labels})
        truths = (
            [names.index(str(label)) for label in labels]
            if of_classes
            else [label for label in labels if isinstance(label, float)]
        )
        predicted = attend(
            [pair.train.tokens[i] for i in known],
            [pair.test.tokens[i] for i in asked],
            truths,
            settings,
            seed=seed,
            device=device,
        )
        detail = f"{settings.epochs} epochs"
        truth = [pair.test.labels[i] for i in asked]
        if of_classes:
            right = sum(names[i] == x for i, x in zip(predicted, truth, strict=True))
            value = right / len(truth)
            low, high = wilson_interval(right, len(truth))
        else:
            numbers = np.asarray(truth, dtype=np.float64)
            value = float(r2(numbers, predicted))
            low, high = r2_interval(numbers, predicted)
        return Measured(value=value, low=low, high=high, detail=detail)

    return measure
