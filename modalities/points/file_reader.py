"""Single files of points and meshes."""

from modalities.points.files import PointFiles, PointSource
from modalities.points.modality import PointGroups
from omnimask.embedding.file_reader import FileReader

FILE_READERS = (
    FileReader(
        modality=PointGroups,
        files=PointFiles,
        suffixes=lambda files: files.suffixes,
        open=lambda found, files, modality: PointSource(
            files=files, modality=modality, found=found
        ),
    ),
)
