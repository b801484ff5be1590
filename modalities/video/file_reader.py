"""Single video files."""

from modalities.video.files import SUFFIXES, VideoFiles, VideoSource
from modalities.video.modality import VideoTubelets
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    VideoTubelets: FileReader(
        files=VideoFiles,
        suffixes=lambda _: SUFFIXES,
        open=VideoSource,
    ),
}
