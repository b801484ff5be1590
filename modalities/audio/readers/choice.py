"""Which library reads a sound: soundfile where it can, else PyAV, else torchcodec.

PyAV comes before torchcodec because it seeks, while torchcodec 0.17 decodes sound from the start of
the file to the place asked for; see README.md for the times.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from modalities.audio.readers import with_pyav, with_soundfile, with_torchcodec
from modalities.audio.readers.sound_info import SoundInfo
from omnimask.foundation.errors import RecipeError, nearest_names

BackendName = Literal["auto", "soundfile", "torchcodec", "pyav"]


@runtime_checkable
class Backend(Protocol):
    """A module that reads sound; `version` raises ImportError or OSError where it cannot load."""

    def version(self) -> str: ...

    def probe(self, path: Path) -> SoundInfo: ...

    def decode(self, path: Path, info: SoundInfo, *, start: int, count: int) -> np.ndarray: ...


BACKENDS: Mapping[str, Backend] = {
    "soundfile": with_soundfile,
    "pyav": with_pyav,
    "torchcodec": with_torchcodec,
}


@functools.cache
def _status(name: str) -> tuple[bool, str]:
    try:
        return True, BACKENDS[name].version()
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return False, f"missing: {error}"


def available_readers() -> dict[str, str]:
    """Each reading library in the order of preference, with its version or why it is missing."""
    return {name: _status(name)[1] for name in BACKENDS}


def choose_backend(backend: str, suffix: str) -> str:
    """The library that reads files ending in `suffix`; RecipeError if none on this machine does."""
    if backend == "auto":
        order = [name for name in BACKENDS if name != "soundfile"]
        if suffix in with_soundfile.SUFFIXES:
            order.insert(0, "soundfile")
    elif backend in BACKENDS:
        order = [backend]
    else:
        raise RecipeError(
            f"backend must be 'auto' or the name of a library, got {backend!r}; "
            f"{nearest_names(backend, ['auto', *BACKENDS])}"
        )
    for name in order:
        if _status(name)[0]:
            return name
    reasons = "; ".join(f"{name} {_status(name)[1]}" for name in order)
    raise RecipeError(
        f"nothing here reads {suffix} files ({reasons}); run `uv pip install 'omnimask[audio]'`"
    )
