"""Log-mel energies with Kaldi's conventions: the front end of AudioMAE, AST, BEATs and EAT.

Chosen over `torchaudio.transforms.MelSpectrogram` because published weights of all of these expect
it, so spectrograms and checkpoints can be compared. The filters are torchaudio's and built once per
process. The framing is written out because `torchaudio.compliance.kaldi.fbank` takes one waveform,
where exported graphs take a batch of them; it gives the same numbers (tested) and makes the filters
anew on every call, which shows in short windows (tools/bench_readers.py).
"""

import functools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.optional import needs

PREEMPHASIS = 0.97
LOWEST_ENERGY = torch.finfo(torch.float32).eps  # Kaldi's floor under the logarithm


@dataclass(frozen=True, kw_only=True, slots=True)
class MelScale:
    """How a waveform becomes mel energies; `frame`, `hop` and `num_fft` count samples."""

    sample_rate_hz: int
    frame: int
    hop: int
    num_fft: int
    num_mels: int
    min_hz: float
    max_hz: float

    def num_frames(self, num_samples: int) -> int:
        """Frames that lie wholly inside `num_samples`: no edge is padded or mirrored."""
        return 0 if num_samples < self.frame else 1 + (num_samples - self.frame) // self.hop

    def num_samples(self, num_frames: int) -> int:
        """The shortest waveform with `num_frames` frames."""
        return (num_frames - 1) * self.hop + self.frame


def log_mel(waveform: Float[Tensor, "*b n"], scale: MelScale) -> Float[Tensor, "*b t m"]:
    """Natural logarithm of mel energies, of a waveform in [-1, 1].

    Per frame: minus its mean, pre-emphasis 0.97, symmetric Hann window, power spectrum, triangular
    filters on the HTK mel scale, floor at 1.2e-7 (log -15.9, digital silence).
    """
    frames = waveform.unfold(-1, scale.frame, scale.hop)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    # The sample before a frame's first is taken to equal it, as Kaldi does.
    previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    frames = (frames - PREEMPHASIS * previous) * hann_window(scale.frame)
    spectrum = torch.view_as_real(torch.fft.rfft(frames, n=scale.num_fft))
    power = spectrum.square().sum(dim=-1)
    return (power @ mel_filters(scale)).clamp_min(LOWEST_ENERGY).log()


@functools.cache
def hann_window(size: int) -> Float[Tensor, " n"]:
    return torch.hann_window(size, periodic=False)


@functools.cache
def mel_filters(scale: MelScale) -> Float[Tensor, "bins m"]:
    """Triangular filters, one per column; the row of the Nyquist frequency is zero as in Kaldi."""
    needs("torchaudio", extra="audio")
    from torchaudio.compliance.kaldi import get_mel_banks

    filters, _ = get_mel_banks(
        scale.num_mels,
        scale.num_fft,
        float(scale.sample_rate_hz),
        scale.min_hz,
        scale.max_hz,
        vtln_low=100.0,  # unused: the warp factor is 1
        vtln_high=-500.0,
        vtln_warp_factor=1.0,
    )
    return torch.nn.functional.pad(filters, (0, 1)).T.contiguous()


def mel_of_hz(hz: float) -> float:
    """The HTK mel scale."""
    return 1127.0 * math.log1p(hz / 700.0)
