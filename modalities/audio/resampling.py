"""Changing the sample rate of a waveform."""

import functools
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.optional import needs

# torchaudio's filter has one row per output phase, so rates without a common divisor would need
# gigabytes; below this bound the pitch is off by less than one part in a million.
_MOST_PHASES = 1000


def resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
    """Input samples per output sample: exact for usual rates (44100 to 16000 is 441/160)."""
    return Fraction(from_hz, to_hz).limit_denominator(_MOST_PHASES)


def resample(waveform: Float[Tensor, " n"], ratio: Fraction) -> Float[Tensor, " m"]:
    """ceil(n / ratio) samples, low-passed below both Nyquist frequencies."""
    if ratio == 1:
        return waveform
    return _resampler(ratio)(waveform)


@functools.cache
def _resampler(ratio: Fraction) -> torch.nn.Module:
    needs("torchaudio", extra="audio")
    from torchaudio.transforms import Resample

    return Resample(ratio.numerator, ratio.denominator)
