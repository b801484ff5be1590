"""Single lidar sweeps."""

from modalities.voxels.files import SUFFIXES, SweepFiles, SweepSource
from modalities.voxels.modality import VoxelGrid
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    VoxelGrid: FileReader(
        files=SweepFiles,
        suffixes=lambda _: SUFFIXES,
        open=lambda found, files, modality: SweepSource(
            files=files, modality=modality, found=found
        ),
    ),
}
