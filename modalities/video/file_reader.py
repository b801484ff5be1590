"""Single video files."""

from modalities.video.files import SUFFIXES, VideoFiles, VideoSource
from modalities.video.tokens import VideoTubelets
from omnimask.transfer.embedding.file_reader import FileReader

FILE_READERS = (
    FileReader(
        modality=VideoTubelets,
        files=VideoFiles,
        suffixes=lambda _: SUFFIXES,
        open=VideoSource,
    ),
)
