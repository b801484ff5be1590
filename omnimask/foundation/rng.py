"""Counter-based randomness: every draw is a pure function of (seed, epoch, sample, purpose).

Nothing here has state. A mask is the same on CPU and GPU, on one process or eight, before and
after a restart, because it depends on the sample's key alone. The mixing function is the finaliser
of SplitMix64 (Steele, Lea, Flood 2014, https://doi.org/10.1145/2714064.2660195, section 3),
computed in wrapping 64-bit integer arithmetic, which torch does alike on every device.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_GAMMA_TRIES = 12


def _signed(value: int) -> int:
    """The int64 that has the bits of the unsigned `value`."""
    value %= _WORD
    return value - _WORD if value >= _WORD >> 1 else value


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """Logical right shift; torch's own shift of int64 copies the sign bit."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _mix(bits: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    bits = (bits ^ _shift_right(bits, 30)) * _signed(_MIX_1)
    bits = (bits ^ _shift_right(bits, 27)) * _signed(_MIX_2)
    return bits ^ _shift_right(bits, 31)


def _mix_int(bits: int) -> int:
    bits = ((bits ^ (bits >> 30)) * _MIX_1) % _WORD
    bits = ((bits ^ (bits >> 27)) * _MIX_2) % _WORD
    return bits ^ (bits >> 31)


def _label_bits(label: int | str) -> int:
    if isinstance(label, int):
        return label % _WORD
    return int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "little")


def fold_key(*labels: int | str) -> int:
    """One signed 64-bit key from a sequence of labels; the order counts."""
    key = 0
    for label in labels:
        label_bits = _mix_int((_label_bits(label) + _GOLDEN) % _WORD)
        key = _mix_int(((key ^ label_bits) + _GOLDEN) % _WORD)
    return _signed(key)


def numpy_generator(key: int, purpose: str) -> np.random.Generator:
    """NumPy's counter-based Philox generator for one sample and one purpose, used by readers."""
    return np.random.Generator(np.random.Philox(key=fold_key(key, purpose) % _WORD))


def permutation(length: int, *labels: int | str) -> np.ndarray:
    """A permutation of `range(length)` that depends on the labels alone."""
    return numpy_generator(fold_key(*labels), "permutation").permutation(length)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rng:
    """One independent random stream per row; drawing never advances it, `child` starts another."""

    keys: Int64[Tensor, " rows"]

    def child(self, label: int | str) -> "Rng":
        """The streams for another purpose; two labels give independent numbers."""
        bits = _signed(_mix_int((_label_bits(label) + _GOLDEN) % _WORD))
        return Rng(keys=_mix((self.keys ^ bits) + _signed(_GOLDEN)))

    def repeat(self, copies: int) -> "Rng":
        """`copies` different streams per row, row i becoming rows i*copies .. i*copies+copies-1."""
        if copies == 1:
            return self
        copy_ids = torch.arange(copies, device=self.keys.device)
        keys = _mix((self.keys[:, None] ^ _mix(copy_ids + 1)) + _signed(_GOLDEN))
        return Rng(keys=keys.flatten())

    def bits(self, count: int) -> Int64[Tensor, "rows count"]:
        """`count` random 64-bit words per row."""
        counters = torch.arange(1, count + 1, device=self.keys.device)
        return _mix(self.keys[:, None] + counters * _signed(_GOLDEN))

    def uniform(self, count: int) -> Float[Tensor, "rows count"]:
        """`count` numbers in [0, 1) per row, in fp32 with 24 random bits, alike on every device."""
        return _shift_right(self.bits(count), 40).to(torch.float32) * 2.0**-24

    def integers(self, count: int, *, high: int) -> Int64[Tensor, "rows count"]:
        """`count` integers in [0, high) per row; for `high` below 2**24 the bias is negligible."""
        return _shift_right(self.bits(count), 33) % high

    def normal(self, count: int) -> Float[Tensor, "rows count"]:
        """Standard normal numbers by the Box-Muller transform."""
        return self._normal(count).float()

    def _normal(self, count: int) -> Float[Tensor, "rows count"]:
        """In fp64: devices differ in the last bits of `log` and `cos`, which fp32 rounds off."""
        radius = (-2.0 * torch.log1p(-self.child("radius").uniform(count).double())).sqrt()
        return radius * torch.cos(2.0 * math.pi * self.child("angle").uniform(count).double())

    def gamma(self, count: int, *, shape: float) -> Float[Tensor, "rows count"]:
        """Gamma(shape, 1) numbers; far below 1, where most are smaller than fp32 holds, zero."""
        return self._log_gamma(count, shape=shape).exp().float()

    def _log_gamma(self, count: int, *, shape: float) -> Float[Tensor, "rows count"]:
        """By Marsaglia and Tsang (2000), the first accepted of 12 tries; in fp64.

        https://doi.org/10.1145/358407.358414. A try is accepted with probability above 0.95, so
        that no try succeeds about once in 10**15 draws; the first try is then taken as it is.
        """
        boosted = shape + 1.0 if shape < 1.0 else shape
        d = boosted - 1.0 / 3.0
        # All tries at once: a device prefers a few large operations to many small ones.
        tries = self.child("tries")
        x = tries._normal(count * _GAMMA_TRIES).unflatten(1, (count, _GAMMA_TRIES))
        u = 1.0 - tries.child("accept").uniform(count * _GAMMA_TRIES).double().view_as(x)
        v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
        log_v = v.clamp_min(1e-30).log()
        accepted = (v > 0) & (u.log() < 0.5 * x**2 + d - d * v + d * log_v)
        first = accepted.to(torch.uint8).argmax(dim=2, keepdim=True)
        result = math.log(d) + log_v.gather(2, first).squeeze(2)
        if shape < 1.0:
            result = result + (1.0 - self.child("boost").uniform(count).double()).log() / shape
        return result

    def dirichlet(self, alphas: tuple[float, ...]) -> Float[Tensor, "rows parts"]:
        """Shares that sum to one, Dirichlet(alphas) distributed; each at least 1e-30."""
        parts = [self.child(i)._log_gamma(1, shape=alpha) for i, alpha in enumerate(alphas)]
        # Of logarithms, since with small alphas every gamma number may be smaller than fp32 holds.
        return torch.cat(parts, dim=1).softmax(dim=1).float().clamp_min(1e-30)
