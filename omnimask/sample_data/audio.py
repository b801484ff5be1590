"""Audio: ten kinds of sound in rooms of random size, as WAV, FLAC and Ogg Vorbis."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from omnimask.sample_data.files import FileJob, labelled_jobs
from omnimask.sample_data.sounds import SOUNDS, Sound

_SUFFIXES = (".wav", ".flac", ".flac", ".wav", ".flac", ".ogg", ".flac", ".flac")
_RATES_HZ = (16000, 22050, 44100)
_RATE_SHARES = (0.65, 0.25, 0.1)


ABOUT = """
Made. Ten kinds of sound by physical or perceptual synthesis (plucked string, FM bell, formant
voice, ...) with random pitch, time and room, 0.5 to 3 s, 16, 22.05 and 44.1 kHz, mono and
stereo, WAV, FLAC and Ogg Vorbis."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "audio", tuple(SOUNDS), num_train=24, num_held_out=8, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    import soundfile

    rate_hz = int(rng.choice(_RATES_HZ, p=_RATE_SHARES))
    # 0.5 to 3 s, shorter ones more often.
    num_samples = int(rate_hz * 0.5 * 6 ** rng.uniform())
    dry = SOUNDS[job.label](rate_hz, num_samples, rng)
    channels = np.stack([_in_room(dry, rate_hz, rng) for _ in range(1 + (rng.uniform() < 0.35))])
    level = 10 ** (rng.uniform(-14, -1) / 20)
    channels *= level / np.abs(channels).max()
    channels += rng.normal(0, 10 ** rng.uniform(-3.6, -2.4), size=channels.shape)
    # libsndfile draws an Ogg stream's number at random: those bytes differ, the sound does not.
    subtype = "VORBIS" if job.suffix == ".ogg" else "PCM_16"
    soundfile.write(root / job.path, channels.T.clip(-1, 1), rate_hz, subtype=subtype)


def _in_room(dry: Sound, rate_hz: int, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
    """The sound at one microphone: direct, and through a decaying noise tail (a diffuse room)."""
    from scipy.signal import fftconvolve

    decay_s = rng.uniform(0.05, 0.5)
    at = np.arange(int(decay_s * rate_hz)) / rate_hz
    tail = rng.normal(size=len(at)) * np.exp(-6.9 * at / decay_s)
    tail *= rng.uniform(0.02, 0.5) / np.sqrt(np.sum(tail**2))
    delay = int(rng.uniform(0, 0.0007) * rate_hz)  # up to 0.7 ms between two ears
    direct = np.concatenate([np.zeros(delay), dry])[: len(dry)] * rng.uniform(0.6, 1)
    return direct + fftconvolve(dry, tail)[: len(dry)]
