"""Scans of three dimensions (CT, MR, microscopy) as patches, from NIfTI and NumPy files."""

from modalities.volume.files import VolumeFiles as VolumeFiles
from modalities.volume.label_files import VolumeLabelFiles as VolumeLabelFiles
from modalities.volume.labels import VolumeLabels as VolumeLabels
from modalities.volume.modality import VolumePatches as VolumePatches
from modalities.volume.readers import available_readers as available_readers
