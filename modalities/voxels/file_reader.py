"""Single lidar sweeps."""

from modalities.voxels.files import SUFFIXES, SweepFiles, SweepSource
from modalities.voxels.modality import VoxelGrid
from omnimask.embedding.file_reader import FileReader

FILE_READERS = (
    FileReader(
        modality=VoxelGrid,
        files=SweepFiles,
        suffixes=lambda _: SUFFIXES,
        open=lambda found, files, modality: SweepSource(
            files=files, modality=modality, found=found
        ),
    ),
)
