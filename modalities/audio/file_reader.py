"""Single sound files, and videos for their sound."""

from pathlib import Path

from modalities.audio.files import SOUND_SUFFIXES, VIDEO_SUFFIXES, AudioFiles, AudioSource
from modalities.audio.modality import AudioSpectrogram
from modalities.audio.readers.choice import choose_backend
from omnimask.data.folders import FolderFiles
from omnimask.transfer.modality_hooks import FileReader


def _open(found: FolderFiles, files: AudioFiles, modality: AudioSpectrogram) -> AudioSource:
    suffixes = {Path(name).suffix.lower() for name in found.names}
    readers = {suffix: choose_backend(files.backend, suffix) for suffix in suffixes}
    return AudioSource(found, readers, files, modality)


FILE_READERS = {
    AudioSpectrogram: FileReader(
        files=AudioFiles,
        suffixes=lambda _: SOUND_SUFFIXES | VIDEO_SUFFIXES,
        open=_open,
    ),
}
