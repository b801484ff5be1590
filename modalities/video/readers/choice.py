"""Which library decodes a video: decord, then torchcodec, then PyAV, the first that works."""

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from modalities.video.readers import with_decord, with_pyav, with_torchcodec
from modalities.video.readers.frame_index import FrameIndex
from omnimask.foundation.errors import DataError, RecipeError

BackendName = Literal["auto", "decord", "torchcodec", "pyav"]

_log = logging.getLogger("omnimask")


@runtime_checkable
class Backend(Protocol):
    """A module; `version` raises ImportError or OSError where it cannot load."""

    def version(self) -> str: ...

    def decode(
        self, path: Path, index: FrameIndex, ids: Int64[np.ndarray, " k"]
    ) -> UInt8[np.ndarray, "k h w 3"]:
        """Frames `ids` (ascending, each once) as RGB, upright; `DataError` naming the file."""
        ...


BACKENDS: Mapping[str, Backend] = {
    "decord": with_decord,
    "torchcodec": with_torchcodec,
    "pyav": with_pyav,
}


@functools.cache
def _status(name: str) -> tuple[bool, str]:
    try:
        return True, BACKENDS[name].version()
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return False, f"missing: {error}"


def available_readers() -> dict[str, str]:
    """Each decoder in the order of preference, with its version or why it is missing."""
    return {name: _status(name)[1] for name in BACKENDS}


def usable_backends(backend: BackendName) -> tuple[str, ...]:
    """The decoders to try on each file, in order; one log line says which.

    `RecipeError` if the one that was asked for, or PyAV, which lists the frames, cannot be loaded.
    """
    for needed in {"pyav", backend} - {"auto"}:
        if not _status(needed)[0]:
            raise RecipeError(
                f"video needs {needed}, which is {_status(needed)[1]}; run "
                "`uv pip install 'omnimask[video]'`"
            )
    if backend != "auto":
        names = (backend,)
    else:
        names = tuple(name for name in BACKENDS if _status(name)[0])
    first, *others = (f"{name} {_status(name)[1]}" for name in names)
    _log.info("video is decoded by %s; if that fails on a file: %s", first, others or "no other")
    return names


def _unfit(name: str, index: FrameIndex) -> str:
    """Why a decoder is not asked, or ""."""
    if name != "pyav" and not index.has_times:
        return f"{name} needs the times of frames, which the file does not state"
    if name == "decord" and index.is_turned:  # it ends its process for some sizes
        return "decord cannot turn frames upright"
    return ""


def decode(
    names: Sequence[str], path: Path, index: FrameIndex, ids: Int64[np.ndarray, " k"]
) -> tuple[UInt8[np.ndarray, "k h w 3"], str]:
    """The frames by the first of `names` that gives them, and its name.

    `DataError` with every decoder's reason if none does.
    """
    failures: list[str] = []
    for name in names:
        try:
            if why := _unfit(name, index):
                raise DataError(f"{path}: {why}")
            frames = BACKENDS[name].decode(path, index, ids)
        except DataError as error:
            failures.append(str(error))
            continue
        if failures:
            _log.warning("%s is decoded by %s, because: %s", path, name, "; ".join(failures))
        return frames, name
    raise DataError("; ".join(failures))
