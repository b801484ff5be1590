"""Finding what one sense has seen by what another has: retrieval between two feature spaces.

A masked autoencoder does not place a scene's picture and its sound side by side. Whether both know
of the same things is asked by a linear map: regularised canonical correlations of training scenes
that both have seen (https://doi.org/10.1093/biomet/28.3-4.321; the ridge of
https://doi.org/10.1016/0304-4076(76)90010-5), in which held-out scenes then look for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    def found(penalty: float) -> float:
        fitted = _canonical(left[~asked], right[~asked], penalty)
        ranks = _ranks(fitted.similarities(left[asked], right[asked]))
        return float(np.mean(1.0 / (1.0 + ranks)))

    return _canonical(left, right, max(PENALTIES, key=found))


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


def _canonical(
    left: Float[np.ndarray, "n a"], right: Float[np.ndarray, "n b"], penalty: float
) -> Alignment:
    """Canonical directions, each weighted by how far its two sides agree."""
    parts = [(side, *mean_and_scale(side)) for side in (left, right)]
    scaled = [(side - mean) * scale for side, mean, scale in parts]
    roots = [_inverse_root(side.T @ side / len(side), penalty) for side in scaled]
    common = roots[0] @ (scaled[0].T @ scaled[1] / len(left)) @ roots[1]
    u, agreement, vt = np.linalg.svd(common, full_matrices=False)
    first, second = (
        scale[:, None] * (root @ directions) * agreement
        for (_, _, scale), root, directions in zip(parts, roots, (u, vt.T), strict=True)
    )
    return Alignment(means=(parts[0][1], parts[1][1]), maps=(first, second))


def _inverse_root(covariance: Float[np.ndarray, "d d"], penalty: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(values.clip(min=0.0) + penalty)) @ vectors.T


def _unit(vectors: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
