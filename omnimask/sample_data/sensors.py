"""Sensors: six channels of a made-up machine that runs in one of five ways, the label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from omnimask.sample_data.files import FileJob, labelled_jobs

CHANNELS = ("speed", "current", "temperature", "vibration_x", "vibration_y", "pressure")
_SUFFIXES = (".csv", ".parquet")
_LONGEST_GAP = 12


ABOUT = """
Made. Six sensors of a machine over 3 to 5 s at 50 or 100 Hz, with a column `seconds`: idling,
running, starting, stopping, or with a worn bearing. Most have gaps in one channel or two (empty
cells). CSV and Parquet."""


def jobs(scale: float) -> list[FileJob]:
    return labelled_jobs(
        "sensors", tuple(STATES), num_train=12, num_held_out=6, suffixes=_SUFFIXES, scale=scale
    )


def write(job: FileJob, root: Path, rng: np.random.Generator) -> None:
    import pandas as pd

    rate_hz, path = float(rng.choice([50.0, 100.0])), root / job.path
    times_s = np.arange(int(rng.uniform(3, 5) * rate_hz)) / rate_hz
    table = pd.DataFrame(made(job.label, times_s, rng), columns=list(CHANNELS)).round(4)
    table.insert(0, "seconds", times_s.round(4))
    if job.suffix == ".csv":
        table.to_csv(path, index=False, lineterminator="\n")
    else:
        table.to_parquet(path)


def made(label: str, times_s: Float64[np.ndarray, " t"], rng: np.random.Generator) -> np.ndarray:
    """(steps, channels), NaN in gaps."""
    turning = STATES[label](times_s / times_s[-1]) * rng.uniform(0.9, 1.1)
    step_s = times_s[1] - times_s[0]
    angle = 2 * np.pi * np.cumsum(turning) * 6.0 * step_s + rng.uniform(0, 2 * np.pi)
    worn = 0.4 * np.maximum(np.sin(3.3 * angle), 0) ** 4 if label == "worn" else 0.0
    shaking = 0.1 + 0.25 * turning
    warming = 20 + 15 * np.cumsum(turning) / len(turning) + 4 * rng.uniform()
    channels = np.stack(
        [
            turning,
            0.3 + 0.8 * turning + 2.0 * np.abs(np.gradient(turning, times_s)),
            warming,
            shaking * np.sin(angle) + worn,
            shaking * np.cos(angle) - worn,
            1.0 + 0.3 * turning + 0.05 * np.sin(2 * angle),
        ],
        axis=1,
    )
    channels += rng.normal(0, 0.02, channels.shape)
    for _ in range(int(rng.integers(0, 3))):
        first = int(rng.integers(len(channels) - _LONGEST_GAP))
        length, channel = int(rng.integers(1, _LONGEST_GAP)), int(rng.integers(len(CHANNELS)))
        channels[first : first + length, channel] = np.nan
    return channels


State = Callable[[Float64[np.ndarray, " t"]], Float64[np.ndarray, " t"]]  # speed over time, 0 to 1

STATES: dict[str, State] = {
    "idle": lambda t: np.full_like(t, 0.15),
    "running": lambda t: np.full_like(t, 1.0),
    "starting": lambda t: 0.1 + 0.9 / (1 + np.exp(-12 * (t - 0.5))),
    "stopping": lambda t: 1.0 - 0.9 / (1 + np.exp(-12 * (t - 0.5))),
    "worn": lambda t: np.full_like(t, 0.9),
}
