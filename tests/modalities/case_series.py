"""Small made-up recordings in every format that is read, some with gaps, and bad ones."""

from pathlib import Path

import numpy as np
import pandas as pd

from modalities.series import SeriesFiles, SeriesPatches
from tests.modalities.case import Case

RATE_HZ = 20.0
JOINTS, CHANNELS = 3, 2
NAMES = tuple(f"{joint}.{axis}" for joint in ("hip", "knee", "foot") for axis in "xy")


def recording(seed: int, num_steps: int = 40) -> np.ndarray:
    """(steps, joints, channels): each joint swings at its own speed around its own place."""
    generator = np.random.default_rng(seed)
    times = np.arange(num_steps)[:, None, None] / RATE_HZ
    speeds = np.array([1.0, 2.0, 3.0])[:, None] * generator.uniform(0.8, 1.2)
    phases = np.array([0.0, 0.5 * np.pi])
    swing = np.sin(2 * np.pi * speeds * times + phases)
    places = np.arange(JOINTS)[:, None] * np.array([0.5, -1.0])
    return places + 0.3 * swing + generator.normal(0, 0.01, (num_steps, JOINTS, CHANNELS))


def with_gaps(values: np.ndarray) -> np.ndarray:
    """The second joint is lost for some steps, and one number of the third once."""
    values = values.copy()
    values[9:14, 1] = np.nan
    values[20, 2, 1] = np.nan
    return values


def table(values: np.ndarray, *, time: bool = True) -> pd.DataFrame:
    frame = pd.DataFrame(values.reshape(len(values), -1), columns=NAMES)
    if time:
        frame.insert(0, "seconds", np.arange(len(values)) / RATE_HZ)
    return frame


def _written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _npy(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def _parquet(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_parquet(path)
    return path


def make_case(root: Path) -> Case:
    for label in ("still", "moving"):
        (root / label).mkdir(parents=True)
    table(with_gaps(recording(0))).to_csv(root / "moving" / "a.csv", index=False)
    table(recording(1, 50)).to_csv(root / "moving" / "b.tsv", index=False, sep="\t")
    table(recording(2, 33)).to_parquet(root / "moving" / "c.parquet")
    times = np.arange(45) / 30.0  # at another rate
    _npz(root / "still" / "d.npz", series=recording(3, 45), seconds=times)
    _npz(root / "still" / "e short.npz", series=recording(4, 17), rate_hz=np.array(RATE_HZ))
    _npy(root / "still" / "f.npy", with_gaps(recording(5)))
    nothing = np.full((40, JOINTS, CHANNELS), np.nan)
    return Case(
        modality=SeriesPatches(
            num_steps=24, num_joints=JOINTS, num_channels=CHANNELS, patch=4, rate_hz=RATE_HZ
        ),
        files=SeriesFiles(time_column="seconds", rate_hz=RATE_HZ),
        root=root,
        round_trip_tolerance={"series": 1e-5},
        bad_files={
            "empty csv": lambda folder: _written(folder, "empty.csv", ""),
            "letter": lambda folder: _written(folder, "letter.csv", "Dear reader,\nhello\n"),
            "ragged": lambda folder: _written(folder, "ragged.csv", "seconds,a\n0,1\n1,2,3\n"),
            "words": lambda folder: _written(
                folder, "words.csv", f"seconds,{','.join(NAMES)}\n0,1,2,3,4,5,high\n"
            ),
            "bytes": lambda folder: _written(folder, "bytes.csv", bytes(range(128, 256)) * 9),
            "times that fall": lambda folder: _parquet(
                folder / "back.parquet", table(recording(0))[::-1]
            ),
            "truncated parquet": lambda folder: _cut(
                _parquet(folder / "half.parquet", table(recording(0)))
            ),
            "truncated npy": lambda folder: _cut(_npy(folder / "half.npy", recording(0))),
            "truncated npz": lambda folder: _cut(_npz(folder / "half.npz", series=recording(0))),
            "two joints": lambda folder: _npy(folder / "two.npy", recording(0)[:, :2]),
            "gaps alone": lambda folder: _npy(folder / "lost.npy", nothing),
            "infinite": lambda folder: _npy(folder / "inf.npy", nothing + np.inf),
            "three steps": lambda folder: _npy(folder / "short.npy", recording(0, 3)),
        },
    )
