"""Finding what one sense has seen by what another has: retrieval between two feature spaces.

A masked autoencoder does not place a scene's picture and its sound side by side. Whether both know
of the same things is asked by a linear map: regularised canonical correlations of training scenes
that both have seen (https://doi.org/10.1093/biomet/28.3-4.321; the ridge of
https://doi.org/10.1016/0304-4076(76)90010-5), in which held-out scenes then look for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float

from omnimask.foundation.errors import DataError
from omnimask.transfer.intervals import wilson_interval
from omnimask.transfer.probing.columns import Estimate
from omnimask.transfer.probing.knn import mean_and_scale

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Added to the variance of each standardised feature; the best on a fifth of the training pairs."""

RANKS = (1, 10)
FEWEST_PAIRS = 20
MOST_COMPONENTS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Two affine maps into one space, in which what belongs together points the same way."""

    means: tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]]
    maps: tuple[Float[np.ndarray, "a k"], Float[np.ndarray, "b k"]]

    def similarities(
        self, left: Float[np.ndarray, "n a"], right: Float[np.ndarray, "m b"]
    ) -> Float[np.ndarray, "n m"]:
        """Cosines of every sample of one sense with every one of the other."""
        sides = zip((left, right), self.means, self.maps, strict=True)
        first, second = (_unit((values - mean) @ side) for values, mean, side in sides)
        return first @ second.T


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One sense's training and held-out samples: their names, and by space the features of one or
    more encoders, each (n d) and (m d).
    """

    sense: str
    names: tuple[Sequence[str], Sequence[str]]
    spaces: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """How often the scene is among the first k found of the other sense: by k, by space.

    `chance` is k / `num_test`, by k.
    """

    query: str
    answer: str
    num_train: int
    num_test: int
    recall: Mapping[str, Mapping[int, Estimate]]
    chance: Mapping[int, float]


def retrieve_across(senses: Sequence[Seen]) -> list[Retrieval]:
    """Both ways between every two senses that share at least `FEWEST_PAIRS` names on both sides."""
    small = {
        (seen.sense, space): [compressed(*sides) for sides in encoders]
        for seen in senses
        for space, encoders in seen.spaces.items()
    }
    found: list[Retrieval] = []
    for one, other in combinations(senses, 2):
        rows = [shared(*names) for names in zip(one.names, other.names, strict=True)]
        if min(len(left) for left, _ in rows) < FEWEST_PAIRS:
            continue
        train, test = (
            {
                space: [
                    (a[side][left], b[side][right])
                    for a, b in zip(small[one.sense, space], small[other.sense, space], strict=True)
                ]
                for space in one.spaces
            }
            for side, (left, right) in enumerate(rows)
        )
        found += retrieve((one.sense, other.sense), train, test)
    return found


def shared(one: Sequence[str], other: Sequence[str]) -> tuple[list[int], list[int]]:
    """The places of what both call alike, but for the suffix, in the same order."""
    places = {PurePosixPath(name).with_suffix(""): place for place, name in enumerate(other)}
    found = [(n, places.get(PurePosixPath(name).with_suffix(""))) for n, name in enumerate(one)]
    pairs = [(left, right) for left, right in found if right is not None]
    return [left for left, _ in pairs], [right for _, right in pairs]


def compressed(
    train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "m k"]]:
    """Both by the first principal components of the standardised training samples: at most
    `MOST_COMPONENTS`, and at most half the number of samples. What has few enough stays as it is.
    """
    most = min(MOST_COMPONENTS, max(len(train) // 2, 1))
    if train.shape[1] <= most:
        return train, test
    mean, scale = mean_and_scale(train)
    scaled = (train - mean) * scale
    values, vectors = np.linalg.eigh(scaled @ scaled.T)  # of samples: raw values are many more
    axes = scaled.T @ vectors[:, -most:] / np.sqrt(values[-most:].clip(min=1e-12))
    return scaled @ axes, (test - mean) * scale @ axes


def align(left: Float[np.ndarray, "n a"], right: Float[np.ndarray, "n b"]) -> Alignment:
    """The alignment of pairs, row by row, with the penalty that finds most pairs of every fifth row
    when it is fitted on the others.

    Raises DataError for fewer than `FEWEST_PAIRS`.
    """
    if len(left) < FEWEST_PAIRS or len(left) != len(right):
        raise DataError(
            f"two senses are aligned by pairs of their features: expected at least {FEWEST_PAIRS} "
            f"rows and as many on both sides, got {len(left)} and {len(right)}"
        )
    asked = np.arange(len(left)) % 5 == 4
    fitted = _Pairs(left[~asked], right[~asked])

    def found(penalty: float) -> float:
        ranks = _ranks(fitted.canonical(penalty).similarities(left[asked], right[asked]))
        return float(np.mean(1.0 / (1.0 + ranks)))

    return _Pairs(left, right).canonical(max(PENALTIES, key=found))


def retrieve(
    senses: tuple[str, str],
    train: Mapping[str, Sequence[tuple[Float[np.ndarray, "n a"], Float[np.ndarray, "n b"]]]],
    test: Mapping[str, Sequence[tuple[Float[np.ndarray, "m a"], Float[np.ndarray, "m b"]]]],
) -> tuple[Retrieval, Retrieval]:
    """Both ways between two senses. `train` and `test`: by space, the features of the same scenes
    in both senses by one or more encoders, whose recalls are averaged.
    """
    num_train, num_test = (len(next(iter(side.values()))[0][0]) for side in (train, test))
    ranks: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for space, encoders in train.items():
        for fitted, (left, right) in zip(encoders, test[space], strict=True):
            cosines = align(*fitted).similarities(left, right)
            ranks.setdefault(space, []).append((_ranks(cosines), _ranks(cosines.T)))
    ways = (senses, senses[::-1])
    first, second = (
        Retrieval(
            query=query,
            answer=answer,
            num_train=num_train,
            num_test=num_test,
            recall={
                space: {k: _share([pair[way] < k for pair in pairs]) for k in RANKS}
                for space, pairs in ranks.items()
            },
            chance={k: min(k / num_test, 1.0) for k in RANKS},
        )
        for way, (query, answer) in enumerate(ways)
    )
    return first, second


def _share(found: Sequence[np.ndarray]) -> Estimate:
    """The mean share over encoders, with Wilson's interval for the number of scenes."""
    value = float(np.mean(found))
    low, high = wilson_interval(round(value * len(found[0])), len(found[0]))
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _ranks(cosines: Float[np.ndarray, "n n"]) -> np.ndarray:
    """How many others are at least as near to each query as its own."""
    return (cosines >= np.diag(cosines)[:, None]).sum(1) - 1


class _Pairs:
    """Standardised features of pairs, and the principal axes of both sides."""

    def __init__(self, left: Float[np.ndarray, "n a"], right: Float[np.ndarray, "n b"]) -> None:
        sides = [(side, *mean_and_scale(side)) for side in (left, right)]
        self.means = (sides[0][1], sides[1][1])
        self.scales = [scale for _, _, scale in sides]
        scaled = [(side - mean) * scale for side, mean, scale in sides]
        self.common = scaled[0].T @ scaled[1] / len(left)
        self.axes = [np.linalg.eigh(side.T @ side / len(side)) for side in scaled]

    def canonical(self, penalty: float) -> Alignment:
        """Canonical directions, each weighted by how far its two sides agree."""
        roots = [
            (vectors / np.sqrt(values.clip(min=0.0) + penalty)) @ vectors.T
            for values, vectors in self.axes
        ]
        u, agreement, vt = np.linalg.svd(roots[0] @ self.common @ roots[1], full_matrices=False)
        first, second = (
            scale[:, None] * (root @ directions) * agreement
            for scale, root, directions in zip(self.scales, roots, (u, vt.T), strict=True)
        )
        return Alignment(means=self.means, maps=(first, second))


def _unit(vectors: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
