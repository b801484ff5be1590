"""Video clips as tubelets, decoded by decord, torchcodec or PyAV."""

from modalities.video.files import VideoFiles as VideoFiles
from modalities.video.modality import VideoTubelets as VideoTubelets
from modalities.video.readers.choice import available_readers as available_readers
