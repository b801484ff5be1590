"""Series over time, of sensors or of a skeleton's joints, as patches along time."""

from modalities.series.files import SeriesFiles as SeriesFiles
from modalities.series.modality import SeriesPatches as SeriesPatches
from modalities.series.readers import available_readers as available_readers
