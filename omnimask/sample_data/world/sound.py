"""The sound of a scene's motion: a bank of decaying modes, struck and rubbed.

Modal synthesis as in van den Doel, Kry and Pai 2001 (https://doi.org/10.1145/383259.383322): each
contact is a short pulse, longer for soft materials, rubbing is noise that grows with the speed, and
both go through resonators whose pitches follow material, size and shape, and whose losses follow
the material.
"""

import io
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64

from omnimask.sample_data.world.factors import Scene, Thing
from omnimask.sample_data.world.materials import MATERIALS
from omnimask.sample_data.world.motion import DURATION_S, moves
from omnimask.sample_data.world.randomness import generator
from omnimask.sample_data.world.shapes import NAMES

RATE_HZ = 16000
NUM_SAMPLES = round(DURATION_S * RATE_HZ)
_NUM_MODES = 12
_HIGHEST_HZ = 7200
_LOWEST_HZ = 60
_FASTEST = 4.0  # m/s, at which rubbing is as bright as it gets
# How modes are spread, by what a family is most like: mode k lies at (1 + k)^spread, and every
# instance moves them a little.
_STRETCHES = dict(zip(NAMES, np.linspace(0.75, 1.75, len(NAMES)), strict=True))

Samples = Float64[np.ndarray, " samples"]


@lru_cache(maxsize=1)  # a paired scene's clip and its sound file are one sound
def observe(scene: Scene) -> Float32[np.ndarray, " samples"]:
    """In [-1, 1], as long as the clip; soft and loud recordings of soft and loud events alike."""
    rng = scene.generator("sound")
    wet = _in_room(dry(scene, rng), rng)
    loudness = 10 ** (rng.uniform(-16, -2) / 20)
    wet *= loudness / max(float(np.abs(wet).max()), 1e-9)
    wet += _hiss(rng) * 10 ** (rng.uniform(-60, -34) / 20)
    return wet.clip(-1, 1).astype(np.float32)


def dry(scene: Scene, rng: np.random.Generator) -> Samples:
    """The object alone, without room, level and noise."""
    pitches_hz, losses, levels = modes_of(scene)
    return _resonated(_excitation(scene, rng), pitches_hz, losses, levels)


def modes_of(
    scene: Scene,
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Pitches in Hz, losses per second and levels of the subject's modes, those that are heard."""
    thing = scene.subject
    material = MATERIALS[thing.material]
    order = np.arange(_NUM_MODES)
    own = generator(scene.seed, f"instance {thing.shape.number}", "modes")
    ratios = (1 + order) ** _STRETCHES[thing.shape.family] * np.exp(
        own.normal(0, 0.04, size=_NUM_MODES) * (order > 0)
    )
    pitches_hz = _lowest_hz(thing) * ratios
    losses = material.loss + material.loss_by_pitch * pitches_hz
    levels = own.uniform(0.3, 1, size=_NUM_MODES) / (1 + order) ** 0.4
    heard = (pitches_hz > _LOWEST_HZ) & (pitches_hz < _HIGHEST_HZ)
    heard[0] = True
    return pitches_hz[heard], losses[heard], levels[heard]


def _lowest_hz(thing: Thing) -> float:
    """Small, stout and hard is high: stiffness goes with thickness, inertia with size."""
    shape = thing.shape
    stout = 0.9 + 0.3 * shape.thick - 0.15 * shape.slender
    return MATERIALS[thing.material].speed * 0.5 * stout / thing.size_m**1.6


def _excitation(scene: Scene, rng: np.random.Generator) -> Samples:
    times_s = np.arange(NUM_SAMPLES) / RATE_HZ
    material = MATERIALS[scene.subject.material]
    width = max(int(material.softness_s * RATE_HZ), 2)
    found = moves(scene.motion, times_s)
    pulses = np.zeros(NUM_SAMPLES)
    pulse = np.sin(np.pi * (np.arange(width) + 0.5) / width)
    pulse /= pulse.sum()
    for at_s, strength in found.impacts:
        start = round(at_s * RATE_HZ)
        count = min(width, NUM_SAMPLES - start)
        if start >= 0 and count > 0:
            pulses[start : start + count] += strength * rng.uniform(0.75, 1.25) * pulse[:count]
    rubbed = 0.012 * found.rubbing * _grit(found.rubbing, rng)
    return (pulses + rubbed) * _nearness(scene, found.along)


def _grit(speed: Samples, rng: np.random.Generator) -> Samples:
    """What a surface with grains on it is rubbed with: the faster, the brighter."""
    from scipy.signal import lfilter

    fine = rng.normal(size=NUM_SAMPLES)
    fine *= 1 + 0.6 * rng.normal(size=NUM_SAMPLES).clip(0, 3) ** 2
    pole = 0.96
    coarse = np.asarray(lfilter([np.sqrt(1 - pole**2)], [1, -pole], fine))
    bright = (speed / _FASTEST).clip(0, 1)
    return bright * fine + (1 - bright) * coarse


def _nearness(scene: Scene, along_m: Samples) -> Samples:
    """How loud it arrives, as the subject comes to the camera or goes away from it."""
    turn = scene.motion.heading_rad - scene.view.azimuth_rad
    distance_m = scene.view.distance_m - along_m * np.cos(turn)
    return (scene.view.distance_m / distance_m.clip(1.5, None)) ** 2.5


def _resonated(
    excitation: Samples,
    pitches_hz: Float64[np.ndarray, " m"],
    losses: Float64[np.ndarray, " m"],
    levels: Float64[np.ndarray, " m"],
) -> Samples:
    """Two-pole resonators beside one another, and a little of the contact itself."""
    from scipy.signal import lfilter

    sound = 0.04 * excitation
    for pitch_hz, loss, level in zip(pitches_hz, losses, levels, strict=True):
        pole, angle = np.exp(-loss / RATE_HZ), 2 * np.pi * pitch_hz / RATE_HZ
        feedback = [1.0, -2 * pole * np.cos(angle), pole**2]
        sound = sound + np.asarray(lfilter([0.0, level * np.sin(angle)], feedback, excitation))
    return sound


def _in_room(sound: Samples, rng: np.random.Generator) -> Samples:
    """Direct, and through a decaying tail of a diffuse room."""
    from scipy.signal import oaconvolve

    decay_s = rng.uniform(0.05, 0.25)
    at = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.normal(size=len(at)) * np.exp(-6.9 * at / decay_s)
    tail *= rng.uniform(0.02, 0.35) / np.sqrt(np.sum(tail**2))
    return sound + oaconvolve(sound, tail)[: len(sound)]


def _hiss(rng: np.random.Generator) -> Samples:
    """Noise of any slope from white to brown."""
    from scipy.signal import lfilter

    pole = rng.uniform(0, 0.95)
    noise = np.asarray(lfilter([1 - pole], [1, -pole], rng.normal(size=NUM_SAMPLES)))
    return noise / noise.std()


def flac(sound: Float32[np.ndarray, " samples"]) -> bytes:
    """One channel, 16 bits."""
    import soundfile

    data = io.BytesIO()
    soundfile.write(data, sound, RATE_HZ, format="FLAC", subtype="PCM_16")
    return data.getvalue()
