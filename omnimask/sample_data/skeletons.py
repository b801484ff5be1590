"""Skeletons: made-up people of fifteen joints who move in one of six ways, the label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from omnimask.sample_data.files import FileJob, labelled_jobs

RATE_HZ = 30.0
_SUFFIXES = (".npy", ".csv", ".npz", ".npy", ".parquet")
_LOST_SHARE = 0.3  # of the recordings, in which a joint is lost for a while

JOINTS = (
    *("hips", "chest", "head"),
    *("left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow", "right_hand"),
    *("left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot"),
)


ABOUT = """
Made. Skeletons of 15 joints in metres (x to the right, y up, z to the front), 30 steps per second,
of people of different size and place who wave, clap, walk, jump, squat or kick. In some a joint is
lost for a while: NaN, or an empty cell. NPY (steps, joints, 3), NPZ with `series` and `rate_hz`,
CSV and Parquet with a column for each coordinate."""

# Moves places of the standing body, by the phase of the motion.
Motion = Callable[[np.ndarray, dict[str, np.ndarray]], None]


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "skeletons", tuple(MOTIONS), num_train=16, num_held_out=8, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    series, path = made(job.label, rng), root / job.path
    if job.suffix == ".npy":
        np.save(path, series.astype(np.float32))
    elif job.suffix == ".npz":
        np.savez(path, series=series.astype(np.float32), rate_hz=np.array(RATE_HZ))
    else:
        write_table(path, series)


def write_table(path: Path, series: Float64[np.ndarray, "t j c"]) -> None:
    import pandas as pd

    names = [f"{joint}_{axis}" for joint in JOINTS for axis in "xyz"]
    table = pd.DataFrame(series.reshape(len(series), -1).round(4), columns=names)
    if path.suffix == ".csv":
        table.to_csv(path, index=False, lineterminator="\n")
    else:
        table.astype(np.float32).to_parquet(path)


def made(label: str, rng: np.random.Generator) -> Float64[np.ndarray, "t j c"]:
    """In metres; NaN where a joint is lost."""
    count = int(rng.integers(50, 100))
    speed_hz = rng.uniform(0.7, 1.3)
    phase = 2 * np.pi * (speed_hz * np.arange(count) / RATE_HZ + rng.uniform())
    places = {name: np.tile(place, (count, 1)) for name, place in _standing().items()}
    MOTIONS[label](phase, places)
    series = np.stack([places[name] for name in JOINTS], axis=1) * rng.uniform(0.85, 1.15)
    angle = rng.uniform(-0.6, 0.6)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    series = series @ turn.T + rng.uniform(-1, 1, 3) * np.array([1.0, 0.0, 1.0])
    series += rng.normal(0, 0.004, series.shape)
    if rng.uniform() < _LOST_SHARE:
        first, joint = int(rng.integers(10, count - 20)), int(rng.integers(len(JOINTS)))
        series[first : first + int(rng.integers(3, 15)), joint] = np.nan
    return series


def _standing() -> dict[str, np.ndarray]:
    places = {"hips": (0.0, 0.95, 0.0), "chest": (0.0, 1.35, 0.0), "head": (0.0, 1.65, 0.0)}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        places |= {
            f"{side}_shoulder": (0.2 * sign, 1.4, 0.0),
            f"{side}_elbow": (0.25 * sign, 1.12, 0.0),
            f"{side}_hand": (0.27 * sign, 0.86, 0.05),
            f"{side}_hip": (0.12 * sign, 0.92, 0.0),
            f"{side}_knee": (0.13 * sign, 0.5, 0.02),
            f"{side}_foot": (0.14 * sign, 0.06, 0.0),
        }
    return {name: np.array(place) for name, place in places.items()}


def _arm(places: dict[str, np.ndarray], side: str, up: np.ndarray, out: np.ndarray) -> None:
    """The arm swung from hanging (`up` 0) over level (half pi) to straight up, sideways by `out`,
    else to the front."""
    sign = -1.0 if side == "left" else 1.0
    ahead = np.stack([sign * np.sin(out), np.zeros_like(out), np.cos(out)], axis=1)
    along = np.sin(up)[:, None] * ahead + np.array([0.0, -1.0, 0.0]) * np.cos(up)[:, None]
    shoulder = places[f"{side}_shoulder"]
    places[f"{side}_elbow"] = shoulder + 0.28 * along
    places[f"{side}_hand"] = shoulder + 0.54 * along


def _leg(places: dict[str, np.ndarray], side: str, ahead: np.ndarray) -> None:
    """The straight leg swung to the front by an angle."""
    along = np.stack([np.zeros_like(ahead), -np.cos(ahead), np.sin(ahead)], axis=1)
    places[f"{side}_knee"] = places[f"{side}_hip"] + 0.42 * along
    places[f"{side}_foot"] = places[f"{side}_hip"] + 0.86 * along


def _lift(places: dict[str, np.ndarray], height_m: np.ndarray, *, feet: bool) -> None:
    """Everything up, or all but the feet and half of the knees' way."""
    for name, place in places.items():
        share = 1.0 if feet or not name.endswith(("knee", "foot")) else 0.5 * name.endswith("knee")
        place[:, 1] += share * height_m


def _wave(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    _arm(places, "right", 2.5 + 0.3 * np.sin(2 * phase), np.full_like(phase, 1.5))


def _clap(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    for side in ("left", "right"):
        _arm(places, side, np.full_like(phase, 1.4), 0.35 + 0.75 * np.sin(2 * phase))


def _walk(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _leg(places, side, 0.5 * sign * np.sin(phase))
        _arm(places, side, -0.4 * sign * np.sin(phase), np.zeros_like(phase))
    for place in places.values():
        place[:, 2] += 0.15 * (phase - phase[0])


def _jump(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    for side in ("left", "right"):
        _arm(places, side, 0.6 + 0.5 * np.sin(phase), np.full_like(phase, 1.2))
    _lift(places, 0.3 * np.maximum(np.sin(phase), 0), feet=True)


def _squat(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    for side in ("left", "right"):
        _arm(places, side, np.full_like(phase, 1.5), np.zeros_like(phase))
    _lift(places, -0.2 * (1 - np.cos(phase)), feet=False)


def _kick(phase: np.ndarray, places: dict[str, np.ndarray]) -> None:
    _leg(places, "right", 1.2 * np.maximum(np.sin(phase), 0) ** 2)


MOTIONS: dict[str, Motion] = {
    "wave": _wave,
    "clap": _clap,
    "walk": _walk,
    "jump": _jump,
    "squat": _squat,
    "kick": _kick,
}
