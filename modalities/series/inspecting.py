"""What recordings say of themselves, and how they would be pretrained (MAMP, 2308.07092)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from modalities.series.files import SeriesFiles
from modalities.series.modality import SeriesPatches
from modalities.series.readers import (
    SUFFIXES,
    TABLES,
    Columns,
    Recording,
    array_names,
    column_names,
    read_recording,
)
from omnimask.data.folders import suffix_of
from omnimask.foundation.errors import DataError
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import RandomMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content

_STEPS, _JOINTS, _CHANNELS, _RATE = "steps", "joints", "channels", "rate (steps/s)"
_COLUMN = "time column"
_TIMES = ("time", "times", "time_s", "t", "s", "sec", "seconds", "timestamp", "datetime")
_LABELS = ("label", "target", "class", "outcome")
_COORDINATES = ("xy", "xyz")
_LEAST_JOINTS = 5  # fewer columns by coordinates may be features of a row
_EVEN, _MOST_UNEVEN = 0.05, 0.1  # steps of times that differ by more, and their share


def _look(path: Path) -> Look:
    is_table = suffix_of(path, SUFFIXES) in TABLES
    names = column_names(path) if is_table else ()
    time = next((name for name in names if name.strip().lower() in _TIMES), None)
    recording = read_recording(path, Columns(names=None, time=time))
    values = recording.values
    if np.isnan(values).all():
        raise DataError(f"{path}: holds nothing but gaps; remove or replace it")
    joints = recording.num_joints or _num_joints(recording.names or ())
    channels, rate = values.shape[1] // joints, _rate_hz(recording)
    counts: dict[str, int | float] = {_STEPS: len(values), _JOINTS: joints, _CHANNELS: channels}
    known = {} if rate is None else {"length (s)": len(values) / rate, _RATE: rate}
    of_joints = f"{joints} joints of " if joints > 1 else ""
    return Look(
        facts=counts | known | {"gaps (%)": 100 * float(np.isnan(values).mean())},
        variant=f"{of_joints}{channels} channel{'s' * (channels > 1)}"
        + (f", times in {time!r}" if time else ""),
        fit=0.9 if _is_series(path, recording, joints) else 0.0,
        words={_COLUMN: time} if time else {},
    )


def _num_joints(names: Sequence[str]) -> int:
    """Of columns such as hip_x, hip_y, hip_z, knee_x ...; 1 where they are called otherwise."""
    lower = [name.strip().lower() for name in names]
    for axes in _COORDINATES:
        joints = [name[:-1] for name in lower[:: len(axes)]]
        if all(joints) and lower == [joint + axis for joint in joints for axis in axes]:
            return len(joints) if len(set(joints)) == len(joints) >= _LEAST_JOINTS else 1
    return 1


def _is_series(path: Path, recording: Recording, joints: int) -> bool:
    """Whether it is clearly none of a table, a cloud or a scan."""
    if suffix_of(path, SUFFIXES) in TABLES:
        labelled = any(name.strip().lower() in _LABELS for name in recording.names or ())
        times_s = recording.times_s
        return not labelled and (joints > 1 or (times_s is not None and _is_even(times_s)))
    if suffix_of(path, SUFFIXES) == ".npz" and "series" in array_names(path):
        return True
    told = recording.times_s is not None or recording.rate_hz is not None
    return told or (joints > 1 and recording.values.shape[1] in (2 * joints, 3 * joints))


def _is_even(times_s: Float[np.ndarray, " t"]) -> bool:
    steps = np.diff(times_s)
    if len(steps) < 2:
        return False
    usual = np.median(steps)
    return float((np.abs(steps - usual) > _EVEN * usual).mean()) <= _MOST_UNEVEN


def _rate_hz(recording: Recording) -> float | None:
    """To six digits: times are rounded in files."""
    rate, times_s = recording.rate_hz, recording.times_s
    if times_s is not None and len(times_s) > 1:
        rate = 1.0 / float(np.median(np.diff(times_s)))
    return None if rate is None else float(f"{rate:.6g}")


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    joints, channels = int(median(looks, _JOINTS)), int(median(looks, _CHANNELS))
    longest, patch = (120, 4) if budget.large else (64, 8)
    if joints == 1:  # a step is a part of one token, not of many
        longest, patch = (480, 8) if budget.large else (256, 8)
    steps = int(median(looks, _STEPS))
    patch = min(patch, steps)
    num_steps = min(longest, steps) // patch * patch
    told = all(_RATE in look.facts for look in looks)
    rate = float(median(looks, _RATE)) if told else None
    things = f"skeletons: {joints} joints of" if joints > 1 else "series:"
    return Proposal(
        modality=SeriesPatches(
            num_steps=num_steps,
            num_joints=joints,
            num_channels=channels,
            patch=patch,
            rate_hz=rate,
        ),
        masker=RandomMask(ratio=0.9),
        content=(("coordinates", Content(norm="token"), mse),),
        reasons=(
            f"{things} {channels} channels, windows of {num_steps} steps in patches of {patch}, "
            + ("as in the files" if rate is None else f"{rate:g} a second")
            + f", from a middle length of {steps} steps and at most {longest} here",
            "9 of 10 patches are hidden, values normalised per patch: MAMP, 2308.07092",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> SeriesFiles:
    """Places of a skeleton count from its first joint."""
    assert isinstance(modality, SeriesPatches), "it is what was proposed"
    return SeriesFiles(
        path=path,
        time_column=looks[0].words.get(_COLUMN),
        origin=0 if modality.num_joints > 1 else None,
    )


INSPECTOR = Inspector(name="series", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
