"""Video clips as tubelets, decoded by decord, torchcodec or PyAV."""

from modalities.video.backends import available_readers as available_readers
from modalities.video.files import VideoFiles as VideoFiles
from modalities.video.tokens import VideoTubelets as VideoTubelets
