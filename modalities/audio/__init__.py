"""Sound as patches of a log-mel spectrogram, from sound files and the sound tracks of videos."""

from modalities.audio.files import AudioFiles as AudioFiles
from modalities.audio.modality import AudioSpectrogram as AudioSpectrogram
from modalities.audio.readers.choice import available_readers as available_readers
