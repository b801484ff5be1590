"""Ten kinds of sound, each made the way its source makes it, with random pitch and character.

Every function takes the sample rate in Hz, the number of samples and a generator, and returns one
channel; its level means nothing yet.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

Sound: TypeAlias = Float64[np.ndarray, " samples"]


def _time_s(rate_hz: int, num_samples: int) -> Sound:
    return np.arange(num_samples) / rate_hz


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _swept(frequency_hz: Sound, rate_hz: int) -> Sound:
    """The phase in radians of a tone of changing frequency."""
    return 2 * np.pi * np.cumsum(frequency_hz) / rate_hz


def _band_pass(sound: Sound, rate_hz: int, center_hz: float, width_hz: float) -> Sound:
    """A two-pole resonator."""
    from scipy.signal import lfilter

    pole = np.exp(-np.pi * width_hz / rate_hz)
    angle = 2 * np.pi * min(center_hz, 0.45 * rate_hz) / rate_hz
    return np.asarray(lfilter([1 - pole], [1, -2 * pole * np.cos(angle), pole**2], sound))


def pluck(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Plucked strings by Karplus and Strong (1983, https://doi.org/10.2307/3680062)."""
    from scipy.signal import lfilter

    sound = np.zeros(num_samples)
    start, gap = 0, int(rng.uniform(0.25, 0.7) * rate_hz)
    base_hz = _log_uniform(rng, 90, 320)
    while start < num_samples:
        period = int(rate_hz / (base_hz * 2 ** (rng.integers(0, 13) / 12)))
        burst = np.zeros(num_samples - start)
        burst[:period] = rng.uniform(-1, 1, size=min(period, len(burst)))
        loss = rng.uniform(0.985, 0.998)
        # y[n] = x[n] + loss * (y[n - period] + y[n - period - 1]) / 2
        feedback = np.zeros(period + 2)
        feedback[0], feedback[period], feedback[period + 1] = 1, -loss / 2, -loss / 2
        sound[start:] += lfilter([1.0], feedback, burst)
        start += gap
    return sound


def bell(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """A struck bell by frequency modulation (Chowning 1973)."""
    sound = np.zeros(num_samples)
    strikes = rng.integers(1, 4)
    for strike in range(strikes):
        start = int(strike / strikes * num_samples * rng.uniform(0.7, 1))
        at = _time_s(rate_hz, num_samples - start)
        carrier_hz = _log_uniform(rng, 250, 1100)
        fade = np.exp(-at / rng.uniform(0.3, 0.9))
        depth = rng.uniform(3, 8) * np.exp(-at / rng.uniform(0.2, 0.6))
        modulator = np.sin(2 * np.pi * carrier_hz * rng.choice([1.4, 1.618, 2.76]) * at)
        sound[start:] += fade * np.sin(2 * np.pi * carrier_hz * at + depth * modulator)
    return sound


def organ(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """A chord of pipes with drawbar harmonics, slow attack and tremulant."""
    at = _time_s(rate_hz, num_samples)
    chord = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 7))[rng.integers(4)]
    base_hz = _log_uniform(rng, 110, 330)
    sound = np.zeros(num_samples)
    shares = rng.uniform(0.1, 1, size=6) / np.array([1, 2, 3, 4, 6, 8]) ** 0.7
    for semitones in chord:
        pitch_hz = base_hz * 2 ** (semitones / 12) * rng.uniform(0.998, 1.002)
        for order, share in zip((1, 2, 3, 4, 6, 8), shares, strict=True):
            if order * pitch_hz < 0.45 * rate_hz:
                phase = rng.uniform(0, 2 * np.pi)
                sound += share * np.sin(2 * np.pi * order * pitch_hz * at + phase)
    tremulant = 1 + 0.15 * np.sin(2 * np.pi * rng.uniform(4, 7) * at)
    attack = np.minimum(1, at / rng.uniform(0.03, 0.15))
    return sound * tremulant * attack


def drum(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """A beat of falling-pitch kicks and noise snares on a random grid."""
    sound = np.zeros(num_samples)
    step = int(rng.uniform(0.1, 0.22) * rate_hz)
    pattern = rng.integers(0, 3, size=8)
    pattern[0] = 1
    for beat, start in enumerate(range(0, num_samples, step)):
        at = _time_s(rate_hz, min(num_samples - start, rate_hz // 3))
        if pattern[beat % 8] == 1:
            pitch_hz = 45 + rng.uniform(80, 160) * np.exp(-at / 0.03)
            hit = np.sin(_swept(pitch_hz, rate_hz)) * np.exp(-at / 0.1)
        elif pattern[beat % 8] == 2:
            hit = 0.6 * rng.normal(size=len(at)) * np.exp(-at / rng.uniform(0.02, 0.06))
        else:
            continue
        sound[start : start + len(at)] += hit
    return sound


def siren(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """A rising and falling or two-tone alarm."""
    at = _time_s(rate_hz, num_samples)
    cycle = rng.uniform(0.8, 3.0) * at + rng.uniform()
    shape = np.abs(2 * (cycle % 1) - 1) if rng.uniform() < 0.6 else (cycle % 1 < 0.5) * 1.0
    low_hz = rng.uniform(400, 800)
    phase = _swept(low_hz * rng.uniform(1.3, 2.2) ** shape, rate_hz)
    return np.tanh(rng.uniform(1, 4) * np.sin(phase))


def wind(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Noise through a resonance that wanders in pitch and strength."""
    noise = rng.normal(size=num_samples)
    at = _time_s(rate_hz, num_samples)
    center_hz = _log_uniform(rng, 250, 900)
    sound = np.zeros(num_samples)
    # Cross-faded fixed resonators stand for one that moves.
    place = 1.5 + 1.5 * np.sin(2 * np.pi * (rng.uniform(0.2, 0.8) * at + rng.uniform()))
    for number in range(4):
        share = np.clip(1 - np.abs(place - number), 0, 1)
        resonance_hz = center_hz * 1.3**number
        sound += share * _band_pass(noise, rate_hz, resonance_hz, 0.25 * resonance_hz)
    gusts = 0.6 + 0.4 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * at + rng.uniform()))
    return sound * gusts


_VOWELS_HZ = {
    "a": (800, 1150, 2900),
    "e": (400, 2000, 2800),
    "i": (280, 2250, 2900),
    "o": (450, 800, 2830),
    "u": (325, 700, 2700),
}


def voice(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Sung vowels: a glottal pulse train with vibrato through three formants."""
    at = _time_s(rate_hz, num_samples)
    vibrato = 1 + rng.uniform(0.005, 0.03) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * at)
    glide = 2 ** (rng.uniform(-0.3, 0.3) * at / at[-1])
    phase = _swept(_log_uniform(rng, 95, 300) * vibrato * glide, rate_hz) / (2 * np.pi)
    pulses = (phase % 1) ** 3 + 0.02 * rng.normal(size=num_samples)
    pulses -= pulses.mean()
    tract = rng.uniform(0.9, 1.2)  # the length of the throat scales all formants
    vowels = rng.choice(list(_VOWELS_HZ), size=2)
    fade = np.clip((at / at[-1] - 0.35) / 0.3, 0, 1)
    sound = np.zeros(num_samples)
    for vowel, share in zip(vowels, (1 - fade, fade), strict=True):
        for level, formant_hz in zip((1, 0.6, 0.3), _VOWELS_HZ[vowel], strict=True):
            width_hz = 60 + 0.05 * formant_hz
            sound += share * level * _band_pass(pulses, rate_hz, tract * formant_hz, width_hz)
    return sound * np.minimum(1, np.minimum(at, at[-1] - at) / 0.05)


def bird(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Phrases of short whistled sweeps, one motif repeated with variation."""
    sound = np.zeros(num_samples)
    base_hz = _log_uniform(rng, 2000, 4200)
    motif = rng.uniform(-0.35, 0.35, size=(rng.integers(2, 5), 2))
    start, note = int(rng.uniform(0, 0.1) * rate_hz), 0
    while start < num_samples:
        length = min(int(rng.uniform(0.05, 0.14) * rate_hz), num_samples - start)
        shape = np.linspace(0, 1, length)
        begin, end = motif[note % len(motif)] + rng.normal(0, 0.03, size=2)
        pitch_hz = base_hz * 2 ** (begin * (1 - shape) + end * shape)
        trill = 1 + 0.04 * np.sin(2 * np.pi * rng.uniform(0, 5) * shape)
        whistle = np.sin(_swept(pitch_hz * trill, rate_hz)) * np.sin(np.pi * shape) ** 2
        sound[start : start + length] += rng.uniform(0.5, 1) * whistle
        note += 1
        pause_s = rng.uniform(0.15, 0.4) if note % len(motif) == 0 else rng.uniform(0.01, 0.05)
        start += length + int(pause_s * rate_hz)
    return sound


def engine(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Uneven firing pulses through an exhaust resonance, speeding up or slowing down."""
    at = _time_s(rate_hz, num_samples)
    speed_hz = _log_uniform(rng, 22, 70) * 2 ** (rng.uniform(-0.8, 0.8) * at / at[-1])
    phase = _swept(speed_hz, rate_hz) / (2 * np.pi)
    cylinders = rng.uniform(0.5, 1, size=4)[phase.astype(int) % 4]
    pulses = cylinders * np.exp(-8 * (phase % 1)) + 0.1 * rng.normal(size=num_samples)
    pulses -= pulses.mean()
    pipe_hz = rng.uniform(120, 260)
    return _band_pass(pulses, rate_hz, pipe_hz, 90) + 0.5 * _band_pass(
        pulses, rate_hz, 2.7 * pipe_hz, 160
    )


def rain(rate_hz: int, num_samples: int, rng: np.random.Generator) -> Sound:
    """Drops at random moments, each a short ringing bubble, over a faint hiss."""
    drops = np.zeros((3, num_samples))
    count = rng.poisson(rng.uniform(15, 70) * num_samples / rate_hz)
    level = rng.exponential(size=count)
    drops[rng.integers(0, 3, size=count), rng.integers(0, num_samples, size=count)] = level
    sound = 0.002 * rng.normal(size=num_samples)
    for row in drops:
        bubble_hz = _log_uniform(rng, 1200, 5500)
        sound += _band_pass(row, rate_hz, bubble_hz, rng.uniform(60, 250))
    return sound


SOUNDS: dict[str, Callable[[int, int, np.random.Generator], Sound]] = {
    "bell": bell,
    "bird": bird,
    "drum": drum,
    "engine": engine,
    "organ": organ,
    "pluck": pluck,
    "rain": rain,
    "siren": siren,
    "voice": voice,
    "wind": wind,
}
