"""How the subject of a scene moves in a clip, when it strikes the ground, and how fast it rubs.

Every kind takes its place at any time from a formula, so that the clip and the sound agree exactly.
`tempo` in [0, 1] is slow to fast; `delay_s` shifts the events.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

NUM_FRAMES = 16
FRAME_RATE_HZ = 10
DURATION_S = NUM_FRAMES / FRAME_RATE_HZ
MOST_DELAY_S = 0.3

Times = Float64[np.ndarray, " times"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """`heading_rad` is where "along" points, in the world; `approach` and `recede` have their own,
    to and from the camera.
    """

    kind: str
    tempo: float
    delay_s: float
    heading_rad: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """What a motion adds to the pose at rest, at given times: metres along its heading, across it
    and upwards (of the lowest point); radians about the vertical (`yaw`) and about the horizontal
    axis across (`pitch`). `rubbing`: the speed against the ground in m/s. `impacts`: (time in
    seconds, strength) of every contact, also of those beyond the times asked for.
    """

    along: Times
    across: Times
    up: Times
    yaw: Times
    pitch: Times
    rubbing: Times
    impacts: tuple[tuple[float, float], ...] = ()


def moves(motion: Motion, times_s: Times) -> Moves:
    return MOTIONS[motion.kind](motion.tempo, motion.delay_s, times_s)


def frame_times_s() -> Times:
    """The middle of each frame."""
    return (np.arange(NUM_FRAMES) + 0.5) / FRAME_RATE_HZ


def _moves(times_s: Times, impacts: Sequence[tuple[float, float]] = (), **parts: Times) -> Moves:
    """What is not among the parts is zero."""
    names = ("along", "across", "up", "yaw", "pitch", "rubbing")
    whole = {name: parts.get(name, np.zeros_like(times_s)) for name in names}
    return Moves(**whole, impacts=tuple(impacts))


def _mix(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _slide(tempo: float, delay_s: float, t: Times) -> Moves:
    """Pushed, slows down evenly and stops."""
    stop_s, speed = _mix(1.2, 0.6, tempo), _mix(1.6, 3.6, tempo)
    since = (t - delay_s).clip(0, stop_s)
    along = speed * (since - since**2 / (2 * stop_s)) - speed * stop_s / 4
    moving = (t > delay_s) & (t < delay_s + stop_s)
    return _moves(t, along=along, rubbing=speed * (1 - since / stop_s) * moving)


def _fall_s(tempo: float) -> float:
    return _mix(0.36, 0.2, tempo)


_HEIGHT_M = 1.1


def _bounce(tempo: float, delay_s: float, t: Times) -> Moves:
    """Falls and bounces, each time lower and sooner."""
    return _fallen(_fall_s(tempo), delay_s, t, keeps=0.72)


def _drop(tempo: float, delay_s: float, t: Times) -> Moves:
    """Hangs, falls with a thud, and settles with a rattle."""
    return _fallen(_fall_s(tempo), 0.2 + 2 * delay_s, t, keeps=0.25)


def _fallen(fall_s: float, start: float, t: Times, *, keeps: float) -> Moves:
    """Each time up again with the share `keeps` of the speed."""
    up = np.where(t < start + fall_s, _falling(t - start, fall_s), 0.0)
    at, half, speed = start + fall_s, fall_s * keeps, 1.0
    impacts = []
    while speed > 0.04:
        impacts.append((at, speed))
        inside = (t >= at) & (t < at + 2 * half)
        height = _HEIGHT_M * (half / fall_s) ** 2
        up = np.where(inside, height * (1 - ((t - at) / half - 1) ** 2), up)
        at, half, speed = at + 2 * half, half * keeps, speed * keeps
    return _moves(t, impacts, up=up)


def _falling(since: Times, fall_s: float) -> Times:
    return _HEIGHT_M * (1 - (since.clip(0, fall_s) / fall_s) ** 2)


def _spin(tempo: float, delay_s: float, t: Times) -> Moves:
    """Turns on the spot; the rubbing swells once per turn."""
    rate = _mix(3.5, 9, tempo)
    yaw = rate * (t + delay_s)
    return _moves(t, yaw=yaw, rubbing=0.28 * rate * (1 + 0.7 * np.cos(yaw)))


def _orbit(tempo: float, delay_s: float, t: Times) -> Moves:
    """Goes round in a circle, facing its way."""
    rate, radius = _mix(2.2, 5, tempo), 0.75
    angle = rate * (t + 4 * delay_s)
    return _moves(
        t,
        along=radius * np.cos(angle),
        across=radius * np.sin(angle),
        yaw=angle,
        rubbing=np.full_like(t, radius * rate),
    )


def _straight(sign: float) -> Callable[[float, float, Times], Moves]:
    def move(tempo: float, delay_s: float, t: Times) -> Moves:
        """At one speed towards the camera or away from it, passing its place at rest midway."""
        speed = _mix(0.9, 1.9, tempo)
        middle_s = DURATION_S / 2 + (delay_s - MOST_DELAY_S / 2)
        return _moves(t, along=sign * speed * (t - middle_s), rubbing=np.full_like(t, speed))

    return move


def _rock(tempo: float, delay_s: float, t: Times) -> Moves:
    """Tilts to and fro, and knocks whenever it is level."""
    half_s = _mix(0.42, 0.2, tempo)
    pitch = 0.35 * np.sin(np.pi * (t - delay_s) / half_s)
    count = int(np.ceil((DURATION_S + delay_s) / half_s)) + 1
    impacts = [(delay_s + number * half_s, 0.7) for number in range(count)]
    return _moves(t, impacts, pitch=pitch)


def _hop(tempo: float, delay_s: float, t: Times) -> Moves:
    """Hops along, alike in height and length."""
    period_s, speed = _mix(0.5, 0.26, tempo), _mix(0.8, 1.4, tempo)
    phase = (t - delay_s) / period_s % 1
    along = speed * (t - DURATION_S / 2)
    count = int(np.ceil((DURATION_S + delay_s) / period_s)) + 1
    impacts = [(delay_s + number * period_s, 0.8) for number in range(count)]
    return _moves(t, impacts, along=along, up=1.6 * phase * (1 - phase))


def _shake(tempo: float, delay_s: float, t: Times) -> Moves:
    """Quickly to and fro on the ground."""
    rate = 2 * np.pi * _mix(1.5, 3.2, tempo)
    angle = rate * (t + delay_s)
    return _moves(t, along=0.3 * np.sin(angle), rubbing=0.3 * rate * np.abs(np.cos(angle)))


def _tumble(tempo: float, delay_s: float, t: Times) -> Moves:
    """Rolls over and over along its way, striking the ground each quarter turn."""
    rate = _mix(2.2, 5.5, tempo)
    pitch = rate * (t - delay_s)
    quarter_s = np.pi / 2 / rate
    count = int(np.ceil((DURATION_S + delay_s) / quarter_s)) + 1
    impacts = [(delay_s + number * quarter_s, (0.5, 1.0)[number % 2]) for number in range(count)]
    along = 0.35 * rate * (t - DURATION_S / 2)
    rubbing = np.full_like(t, 0.15 * rate)
    return _moves(t, impacts, along=along, pitch=pitch, rubbing=rubbing)


MOTIONS: dict[str, Callable[[float, float, Times], Moves]] = {
    "approach": _straight(1.0),
    "bounce": _bounce,
    "drop": _drop,
    "hop": _hop,
    "orbit": _orbit,
    "recede": _straight(-1.0),
    "rock": _rock,
    "shake": _shake,
    "slide": _slide,
    "spin": _spin,
    "tumble": _tumble,
}
