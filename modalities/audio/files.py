"""Random windows out of sound files and the sound tracks of videos."""

import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch

from modalities.audio.logmel import log_mel
from modalities.audio.modality import AudioSpectrogram
from modalities.audio.readers import with_soundfile
from modalities.audio.readers.choice import BACKENDS, Backend, BackendName, choose_backend
from modalities.audio.readers.sound_info import SoundInfo
from modalities.audio.resampling import resample, resampling_ratio
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Visit

SOUND_SUFFIXES = with_soundfile.SUFFIXES | {".m4a", ".aac", ".wma"}
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})

# A stated length may be longer than the sound by an encoder's delay and padding, not by more.
_LENGTH_SLACK_S = 0.1

_MOST_REMEMBERED = 65_536  # files that are not probed again on the next visit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFiles:
    """Sound files and videos with sound below `path`, found recursively, in sorted order.

    `path`: folder relative to the root. `labels`: "folder" takes the name of a file's folder, none
    at the top. `backend`: the reading library, "auto" picks per file. `gain_db`: training samples
    become louder or softer by a random number of decibels within plus or minus this.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    backend: BackendName = "auto"
    gain_db: float = 0.0

    def open(self, root: str, modality: AudioSpectrogram, /) -> "AudioSource":
        needs("torchaudio", extra="audio")
        suffixes = SOUND_SUFFIXES | VIDEO_SUFFIXES
        found = list_files(root, self.path, suffixes, what="sounds", labels=self.labels)
        readers = {suffix: choose_backend(self.backend, suffix) for suffix in sorted(found.endings)}
        _log.info("%s: %d sounds, read by %s", found.folder, len(found), readers)
        return AudioSource(found, readers, self, modality)


class AudioSource:
    """Random access to one window of each file; nothing stays open between reads."""

    def __init__(
        self,
        found: FileList,
        readers: dict[str, str],
        files: AudioFiles,
        modality: AudioSpectrogram,
    ) -> None:
        self.found, self._readers = found, readers
        self._files, self._modality = files, modality
        self._infos: OrderedDict[int, SoundInfo] = OrderedDict()

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`logmel` (t m) of whole patches; for held-out views also `waveform`, 16-bit, to play.

        Training views carry no waveform: nothing but reports looks at it, and it would add half
        to what goes through the loader.
        """
        with self.found.local(index) as path:
            waveform = self._cut(path, self._info(index, path), visit)
        if visit.augment and self._files.gain_db:
            limit = self._files.gain_db
            waveform = waveform * 10 ** (visit.generator("gain").uniform(-limit, limit) / 20)
        sample: dict[str, torch.Tensor] = {"logmel": log_mel(waveform, self._modality.mel_scale)}
        if not visit.augment:
            sample["waveform"] = (waveform.clamp(-1, 1) * 32767).round().to(torch.int16)
        return sample

    def center_s(self, index: int, visit: Visit, /) -> float:
        if visit.center_s is not None:
            return visit.center_s
        with self.found.local(index) as path:
            info = self._info(index, path)
            _, count = self._lengths(path, info)
        return info.offset_s + (_start(info, count, visit) + count / 2) / info.rate_hz

    def _info(self, index: int, path: Path) -> SoundInfo:
        if index not in self._infos:
            if not path.is_file() or path.stat().st_size == 0:
                raise DataError(f"{path}: is empty or gone; expected a sound; remove or replace it")
            info = self._backend(path).probe(path)
            if info.num_samples == 0:
                raise DataError(f"{path}: holds no sound, only a header; remove or replace it")
            self._infos[index] = info
            if len(self._infos) > _MOST_REMEMBERED:
                self._infos.popitem(last=False)
        return self._infos[index]

    def _cut(self, path: Path, info: SoundInfo, visit: Visit) -> torch.Tensor:
        """A mono waveform of whole patches, at the modality's rate."""
        ratio = resampling_ratio(info.rate_hz, self._modality.sample_rate_hz)
        num_samples, count = self._lengths(path, info)
        start = _start(info, count, visit)
        native = self._backend(path).decode(path, info, start=start, count=count)
        if len(native) < count - _LENGTH_SLACK_S * info.rate_hz:
            raise DataError(
                f"{path}: ends after {(start + len(native)) / info.rate_hz:.2f} s, but states "
                f"{info.num_samples / info.rate_hz:.2f} s; it is cut off or damaged; replace it"
            )
        waveform = resample(torch.from_numpy(native), ratio)
        if len(waveform) < num_samples:
            num_samples = self._whole_patches(path, len(waveform))
        if not waveform.isfinite().all():
            raise DataError(f"{path}: has samples that are NaN or infinite; replace it")
        return waveform[:num_samples]

    def _lengths(self, path: Path, info: SoundInfo) -> tuple[int, int]:
        """Of a window of whole patches: samples at the modality's rate, and at the file's."""
        ratio = resampling_ratio(info.rate_hz, self._modality.sample_rate_hz)
        num_samples = self._whole_patches(path, int(info.num_samples / ratio))
        return num_samples, math.ceil(num_samples * ratio)

    def _whole_patches(self, path: Path, num_samples: int) -> int:
        """The most samples, at most a window, that give a whole number of patches in time."""
        modality, scale = self._modality, self._modality.mel_scale
        frames = min(scale.num_frames(num_samples), modality.window_frames)
        frames -= frames % modality.patch[0]
        if frames == 0:
            shortest = scale.num_samples(modality.patch[0])
            raise DataError(
                f"{path}: lasts {num_samples / scale.sample_rate_hz:.3f} s; expected at least "
                f"{shortest / scale.sample_rate_hz:.3f} s, one patch of {modality.patch[0]} "
                "frames; remove it or choose a smaller patch[0]"
            )
        return scale.num_samples(frames)

    def _backend(self, path: Path) -> Backend:
        return BACKENDS[self._readers[path.suffix.lower()]]


def _start(info: SoundInfo, count: int, visit: Visit) -> int:
    """First of `count` samples: around the visit's centre if it has one, else random or central."""
    latest = info.num_samples - count
    if visit.center_s is not None:
        around = round((visit.center_s - info.offset_s) * info.rate_hz) - count // 2
        return min(max(around, 0), latest)
    return int(visit.generator("start").integers(latest + 1)) if visit.augment else latest // 2
