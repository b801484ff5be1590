"""Single files of pictures and of class maps."""

from modalities.image import files, label_files
from modalities.image.labels import LabelPatches
from modalities.image.modality import ImagePatches
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    ImagePatches: FileReader(
        files=files.ImageFiles,
        suffixes=lambda _: files.SUFFIXES,
        open=files.ImageSource,
    ),
    LabelPatches: FileReader(
        files=label_files.LabelFiles,
        suffixes=lambda _: label_files.SUFFIXES,
        open=label_files.LabelSource,
    ),
}
