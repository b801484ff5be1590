"""Single scans."""

from modalities.volume.files import VolumeFiles, VolumeSource
from modalities.volume.modality import VolumePatches
from modalities.volume.readers import SUFFIXES
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    VolumePatches: FileReader(
        files=VolumeFiles,
        suffixes=lambda _: SUFFIXES,
        open=VolumeSource,
    ),
}
