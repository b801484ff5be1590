"""Sound from log-mel energies, and a player for it in a web page."""

import base64
import html
import io
import math
import wave

import torch
from jaxtyping import Float, Int16
from torch import Tensor

from modalities.audio.logmel import PREEMPHASIS, MelScale, hann_window, mel_filters

_NNLS_STEPS = 60
_GRIFFIN_LIM_STEPS = 32
_MOMENTUM = 0.99
_LOUDEST_LOG = 20.0  # an untrained model may predict anything; e^20 is far above full scale
_MOST_SAMPLES = 100_000  # 200 kB of 16-bit sound per player


def sound_of(logmel: Float[Tensor, "t m"], scale: MelScale) -> Float[Tensor, " n"]:
    """A waveform of (t - 1) * hop samples with these energies and an estimated phase.

    Its first sample is the middle of the first frame. No random number is drawn: the same input
    gives the same sound.
    """
    power = _power_of_mel(logmel.float().clamp_max(_LOUDEST_LOG).exp().T, mel_filters(scale).T)
    angles = 2 * math.pi * torch.arange(scale.num_fft // 2 + 1) / scale.num_fft
    emphasis = 1 + PREEMPHASIS**2 - 2 * PREEMPHASIS * angles.cos()  # |1 - 0.97 exp(-i angle)|^2
    return _griffin_lim((power / emphasis[:, None]).sqrt(), scale)


def _power_of_mel(
    energies: Float[Tensor, "m t"], filters: Float[Tensor, "m bins"]
) -> Float[Tensor, "bins t"]:
    """Non-negative least squares by multiplicative updates (Lee and Seung 2000).

    https://papers.nips.cc/paper/1861, theorem 1, with the filters held fixed.
    """
    projected, gram = filters.T @ energies, filters.T @ filters
    power = projected.clone()
    for _ in range(_NNLS_STEPS):
        power = power * projected / (gram @ power).clamp_min(1e-20)
    return power


def _griffin_lim(magnitude: Float[Tensor, "bins t"], scale: MelScale) -> Float[Tensor, " n"]:
    """Griffin-Lim with momentum (Perraudin, Balazs, Sondergaard 2013), from phases of zero.

    https://doi.org/10.1109/WASPAA.2013.6701851, algorithm 2.
    """
    from torchaudio.functional import griffinlim

    length = (magnitude.shape[1] - 1) * scale.hop
    # torchaudio mirrors half a frame at the ends, which the shortest sounds do not have.
    silence = scale.num_fft // 2 // scale.hop + 1
    sound = griffinlim(
        torch.nn.functional.pad(magnitude, (0, silence)),
        window=hann_window(scale.frame),
        n_fft=scale.num_fft,
        hop_length=scale.hop,
        win_length=scale.frame,
        power=1.0,
        n_iter=_GRIFFIN_LIM_STEPS,
        momentum=_MOMENTUM,
        length=length + silence * scale.hop,
        rand_init=False,
    )
    return sound[:length]


def pcm_of(sound: Float[Tensor, " n"]) -> Int16[Tensor, " n"]:
    """16-bit samples; made softer only if it would clip."""
    return (sound / sound.abs().max().clamp_min(1.0) * 32767).round().to(torch.int16)


def player(pcm: Int16[Tensor, " n"], sample_rate_hz: int, *, caption: str) -> str:
    """An HTML audio player with the first 100 000 samples inside it."""
    whole_s, pcm = len(pcm) / sample_rate_hz, pcm[:_MOST_SAMPLES]
    if len(pcm) == _MOST_SAMPLES:
        caption += f" (the first {len(pcm) / sample_rate_hz:.1f} of {whole_s:.1f} s)"
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate_hz)
        wav.writeframes(pcm.numpy().astype("<i2").tobytes())
    data = base64.b64encode(file.getvalue()).decode()
    return (
        '<figure style="display:inline-block;margin:0.5em 1em 0.5em 0">'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f'<audio controls preload="metadata" src="data:audio/wav;base64,{data}"></audio></figure>'
    )
