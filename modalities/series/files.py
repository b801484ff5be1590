"""Windows of recordings in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from modalities.series.modality import SeriesPatches
from modalities.series.readers import SUFFIXES, Columns, Recording, read_recording
from modalities.series.resampling import at_rate, of_length
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.tokens.modality import Sample, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesFiles:
    """CSV, TSV, Parquet, NPY and NPZ files below `path`, one recording each, in sorted order.

    `path`: folder relative to the root. `labels`: "folder" takes the name of a file's folder, none
    at the top. `columns`: of tables, the numbers of a step in their order (joint by joint), None
    for all but the time; of .npz the one array. `time_column`: seconds or instants, in tables and
    .npz. `rate_hz`: steps per second of files that do not say their times. `origin`: the joint
    whose first known place is subtracted from all. Training views: a random window, or with
    `stretch` a random share of the recording between the two, squeezed or stretched to the
    modality's length. Other views: the middle window, or with `stretch` the whole.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    columns: tuple[str, ...] | None = None
    time_column: str | None = None
    rate_hz: float | None = None
    origin: int | None = None
    stretch: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.stretch is not None and not 0 < self.stretch[0] <= self.stretch[1] <= 1:
            raise RecipeError(
                "SeriesFiles stretch must be two shares of the recording, 0 < low <= high <= 1, "
                f"got {self.stretch}; write (0.5, 1.0)"
            )
        if self.rate_hz is not None and self.rate_hz <= 0:
            raise RecipeError(f"SeriesFiles rate_hz must be positive, got {self.rate_hz}")

    def open(self, root: str, modality: SeriesPatches, /) -> "SeriesSource":
        if self.origin is not None and not 0 <= self.origin < modality.num_joints:
            raise RecipeError(
                f"SeriesFiles origin must be a joint below {modality.num_joints}, got {self.origin}"
            )
        found = list_files(root, self.path, SUFFIXES, what="series", labels=self.labels)
        return SeriesSource(found, self, modality)


@dataclass(frozen=True, slots=True)
class SeriesSource:
    """Random access to one window of each recording; nothing stays open between reads.

    A window follows the sound or video it is paired with where times are known; it does not lead.
    """

    found: FileList
    files: SeriesFiles
    modality: SeriesPatches

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`series` (t j c) fp32, zero in gaps, and `known` (t j); t is at most `num_steps`."""
        with self.found.local(index) as path:
            return self._sample(path, visit)

    def _sample(self, path: Path, visit: Visit) -> Sample:
        recording = self.recording(path)
        if self.files.stretch is None:
            window = self._window(path, recording, visit)
        else:
            window = of_length(self._share(recording.values, visit), self.modality.num_steps)
        sample = sample_of(self.modality, window - self.origin_of(window))
        if not has_whole_patch(sample["known"], self.modality.patch).any():
            raise DataError(
                f"{path}: has no {self.modality.patch} steps without a gap (a patch) where it was "
                "cut; leave the file out, or make patches shorter"
            )
        return sample

    def recording(self, path: Path) -> Recording:
        """The whole file, at the modality's rate; DataError for other numbers of channels."""
        files, modality = self.files, self.modality
        recording = read_recording(path, Columns(names=files.columns, time=files.time_column))
        values = recording.values
        if values.shape[1] != modality.width:
            raise DataError(
                f"{path}: has {values.shape[1]} numbers in a step; expected {modality.num_joints} "
                f"joints times {modality.num_channels} channels; set them, or name "
                "SeriesFiles.columns"
            )
        times_s = _times_s(recording, files.rate_hz)
        if modality.rate_hz is None:
            return recording
        if times_s is None:
            raise DataError(
                f"{path}: does not say at which rate it was recorded; give SeriesFiles.rate_hz or "
                "time_column, or rate_hz=None of the modality to take steps as they are"
            )
        values, times_s = at_rate(values, times_s, modality.rate_hz)
        return Recording(values=values, names=recording.names, times_s=times_s)

    def _window(self, path: Path, recording: Recording, visit: Visit) -> Float[np.ndarray, "t k"]:
        """The one that is drawn; the nearest with a patch in it where that holds gaps alone."""
        length, patch = self.modality.num_steps, self.modality.patch
        latest = max(len(recording.values) - length, 0)
        times_s = _times_s(recording, self.files.rate_hz)
        if visit.center_s is not None and times_s is not None:
            start = int(np.searchsorted(times_s, visit.center_s)) - length // 2
        elif visit.augment:
            start = int(visit.generator("start").integers(latest + 1))
        else:
            start = latest // 2
        starts = np.arange(latest + 1)
        steps = recording.values.reshape(len(recording.values), -1, self._channels)
        whole = np.logical_not(np.isnan(steps).any(axis=2))
        for near in starts[np.argsort(np.abs(starts - start), kind="stable")]:
            if has_whole_patch(torch.from_numpy(whole[near : near + length]), patch).any():
                return recording.values[near : near + length]
        raise DataError(
            f"{path}: has no {patch} steps without a gap (a patch); leave the file out, or make "
            "patches shorter"
        )

    @property
    def _channels(self) -> int:
        return self.modality.num_channels

    def _share(self, values: Float[np.ndarray, "t k"], visit: Visit) -> Float[np.ndarray, "n k"]:
        """A random part of the recording; the whole of it in other views."""
        assert self.files.stretch is not None
        if not visit.augment:
            return values
        generator = visit.generator("stretch")
        length = max(round(len(values) * generator.uniform(*self.files.stretch)), 1)
        start = int(generator.integers(len(values) - length + 1))
        return values[start : start + length]

    def origin_of(self, values: Float[np.ndarray, "t k"]) -> Float[np.ndarray, " k"]:
        """What is subtracted from every step: zero without an `origin`, or where it has gaps."""
        places = values.reshape(len(values), -1, self._channels)
        origin = np.zeros(self._channels)
        if self.files.origin is not None:
            joint = places[:, self.files.origin]
            known = joint[~np.isnan(joint).any(axis=1)]
            origin = known[0] if len(known) else origin
        return np.tile(origin, self.modality.num_joints)


def sample_of(modality: SeriesPatches, values: Float[np.ndarray, "t k"]) -> Sample:
    shape: Sequence[int] = (len(values), modality.num_joints, modality.num_channels)
    series = torch.from_numpy(values.astype(np.float32)).reshape(shape)
    known = ~series.isnan().any(dim=2)
    return {"series": torch.where(known[..., None], series, 0.0), "known": known}


def has_whole_patch(known: torch.Tensor, patch: int) -> torch.Tensor:
    """Of `known` (t j), for each joint whether it has a whole patch, counted from the start."""
    whole = len(known) // patch * patch
    return known[:whole].unflatten(0, (-1, patch)).all(dim=1).any(dim=0)


def _times_s(recording: Recording, rate_hz: float | None) -> Float[np.ndarray, " t"] | None:
    """Those of the file, or by its rate, or by the rate that is given."""
    if recording.times_s is not None:
        return recording.times_s
    rate_hz = recording.rate_hz or rate_hz
    return None if rate_hz is None else np.arange(len(recording.values)) / rate_hz
