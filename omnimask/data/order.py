"""The order of samples in an epoch: a keyed bijection that is computed and never stored.

An unbalanced Feistel network over the fewest bits that count the samples: in turn one half of the
bits is mixed into the other, which can be undone whatever the mixing, so that no two numbers meet.
What falls beyond the last sample goes through again until it does not (cycle walking). Black and
Rogaway, Ciphers with Arbitrary Finite Domains, sections 3 and 4 (CT-RSA 2002,
https://doi.org/10.1007/3-540-45760-7_9). The mixing is the finaliser of SplitMix64, as in
`foundation/rng.py`. The network is no cipher here: its rounds are enough that orders of few samples
come out evenly, too (tests/unit/data/test_order.py).
"""

import numpy as np
from jaxtyping import Int64, UInt64

from omnimask.foundation.rng import fold_key

_ROUNDS = 12
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def shuffled(
    places: Int64[np.ndarray, " k"], length: int, *labels: int | str
) -> Int64[np.ndarray, " k"]:
    """Which of `length` samples stand at `places` of the order that the labels name.

    Takes time and memory for `places` alone; each call goes through the network at most twice per
    place on average.
    """
    bits = max(length - 1, 0).bit_length()
    key = np.uint64(fold_key(*labels, "order") % 2**64)
    with np.errstate(over="ignore"):
        keys = _mix(key + np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _GOLDEN)
        found = _network(places.astype(np.uint64), bits, keys)
        beyond = np.flatnonzero(found >= length)
        while len(beyond):
            found[beyond] = _network(found[beyond], bits, keys)
            beyond = beyond[found[beyond] >= length]
    return found.astype(np.int64)


def _network(
    numbers: UInt64[np.ndarray, " k"], bits: int, keys: UInt64[np.ndarray, " rounds"]
) -> UInt64[np.ndarray, " k"]:
    """A bijection of the numbers of so many bits."""
    low_bits = np.uint64((bits + 1) // 2)
    low_mask = np.uint64((1 << ((bits + 1) // 2)) - 1)
    high_mask = np.uint64((1 << (bits // 2)) - 1)
    low, high = numbers & low_mask, numbers >> low_bits
    for even, odd in keys.reshape(-1, 2):
        low = low ^ (_mix(high ^ even) & low_mask)
        high = high ^ (_mix(low ^ odd) & high_mask)
    return (high << low_bits) | low


def _mix(numbers: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    numbers = (numbers ^ (numbers >> _SHIFTS[0])) * _MIX_1
    numbers = (numbers ^ (numbers >> _SHIFTS[1])) * _MIX_2
    return numbers ^ (numbers >> _SHIFTS[2])
