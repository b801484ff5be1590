"""Pictures as patches: photographs, greyscale and multi-channel images, 8 and 16 bit."""

from modalities.image.files import ImageFiles as ImageFiles
from modalities.image.readers import available_readers as available_readers
from modalities.image.tokens import ImagePatches as ImagePatches
