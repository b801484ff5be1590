"""Sound as patches of a log-mel spectrogram, from sound files and the sound tracks of videos."""

from modalities.audio.backends import available_readers as available_readers
from modalities.audio.files import AudioFiles as AudioFiles
from modalities.audio.tokens import AudioSpectrogram as AudioSpectrogram
