"""Single files of pictures and of class maps."""

from modalities.image import files, label_files
from modalities.image.labels import LabelPatches
from modalities.image.modality import ImagePatches
from omnimask.embedding.file_reader import FileReader

FILE_READERS = (
    FileReader(
        modality=ImagePatches,
        files=files.ImageFiles,
        suffixes=lambda _: files.SUFFIXES,
        open=files.ImageSource,
    ),
    FileReader(
        modality=LabelPatches,
        files=label_files.LabelFiles,
        suffixes=lambda _: label_files.SUFFIXES,
        open=label_files.LabelSource,
    ),
)
