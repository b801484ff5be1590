"""Single video files."""

from modalities.video.files import SUFFIXES, VideoFiles, VideoSource
from modalities.video.modality import VideoTubelets
from omnimask.embedding.file_reader import FileReader

FILE_READERS = (
    FileReader(
        modality=VideoTubelets,
        files=VideoFiles,
        suffixes=lambda _: SUFFIXES,
        open=VideoSource,
    ),
)
