"""Reading by soundfile (libsndfile): the fastest, and it seeks to the sample in every format."""

from pathlib import Path

import numpy as np

from modalities.audio.readers.sound_info import SoundInfo
from omnimask.foundation.errors import DataError

SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au"})


def version() -> str:
    """Raises ImportError or OSError where it cannot be loaded."""
    import soundfile

    return f"{soundfile.__version__} (libsndfile {soundfile.__libsndfile_version__})"


def probe(path: Path) -> SoundInfo:
    import soundfile

    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error
    return SoundInfo(rate_hz=info.samplerate, num_samples=info.frames)


def decode(path: Path, info: SoundInfo, *, start: int, count: int) -> np.ndarray:
    """Samples `start` to `start + count` as (n,) float32, mixed down; fewer where it ends early."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            file.seek(start)
            samples = file.read(count, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error
    return samples.mean(axis=1)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: soundfile cannot read this sound ({error}); expected a whole "
        f"{', '.join(sorted(SUFFIXES))} file; replace it, or try backend='pyav'"
    )
