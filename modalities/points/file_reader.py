"""Single files of points and meshes."""

from modalities.points.files import PointFiles, PointSource
from modalities.points.modality import PointGroups
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    PointGroups: FileReader(
        files=PointFiles,
        suffixes=lambda files: files.suffixes,
        open=lambda found, files, modality: PointSource(
            files=files, modality=modality, found=found
        ),
    ),
}
