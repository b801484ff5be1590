"""Pictures as patches: photographs, grey and multi-channel images, depth, maps of classes."""

from modalities.image.files import ImageFiles as ImageFiles
from modalities.image.hog import Hog as Hog
from modalities.image.indices import BandIndex as BandIndex
from modalities.image.label_files import LabelFiles as LabelFiles
from modalities.image.labels import LabelPatches as LabelPatches
from modalities.image.losses import class_map_cross_entropy as class_map_cross_entropy
from modalities.image.modality import ImagePatches as ImagePatches
from modalities.image.readers.choice import available_readers as available_readers
from modalities.image.targets import ClassMap as ClassMap
