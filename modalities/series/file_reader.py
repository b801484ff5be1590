"""Single recordings."""

from modalities.series.files import SeriesFiles, SeriesSource
from modalities.series.modality import SeriesPatches
from modalities.series.readers import SUFFIXES
from omnimask.transfer.modality_hooks import FileReader

FILE_READERS = {
    SeriesPatches: FileReader(
        files=SeriesFiles,
        suffixes=lambda _: SUFFIXES,
        open=SeriesSource,
    ),
}
