"""Random views of image files."""

from dataclasses import dataclass
from pathlib import Path

from modalities.image.modality import ImagePatches
from modalities.image.readers.channels import to_channels
from modalities.image.readers.choice import read_picture
from modalities.image.views import is_mirrored, view_box
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.data.pixels import Interpolation, check_crops, resize
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Visit

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFiles:
    """Images below `path`, found recursively (links are followed), in sorted order.

    `path`: folder relative to the root. `labels`: "folder" takes the name of a file's folder, none
    at the top. Training views: a random box with a share of the area in `crop_scale` and width /
    height in `crop_ratio`, mirrored with probability `flip`. Other views: the largest box of the
    output's proportions in the middle. Either is resized by `interpolation` with antialiasing.
    `max_pixels`: larger images are refused; a small file can be made to unpack to gigabytes.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    interpolation: Interpolation = "bicubic"
    max_pixels: int = 100_000_000

    def __post_init__(self) -> None:
        check_crops(self.crop_scale, self.crop_ratio, self.flip)

    def open(self, root: str, modality: ImagePatches, /) -> "ImageSource":
        needs("torchvision", "PIL", extra="image")
        found = list_files(root, self.path, SUFFIXES, what="images", labels=self.labels)
        if found.endings & {".tif", ".tiff"}:
            needs("tifffile", extra="image", what="TIFF")
        return ImageSource(found, self, modality)


class ImageSource:
    """Random access to one view of each image; nothing stays open between reads."""

    def __init__(self, found: FileList, files: ImageFiles, modality: ImagePatches) -> None:
        self.found = found
        self._files, self._modality = files, modality

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`pixels` (c h w) of the modality's size: uint8 from 8-bit files, else fp32."""
        with self.found.local(index) as path:
            return self._view(path, visit)

    def _view(self, path: Path, visit: Visit) -> Sample:
        files, modality = self._files, self._modality
        picture = read_picture(path, grey=modality.num_channels == 1, max_pixels=files.max_pixels)
        height, width = picture.pixels.shape[-2:]
        part = picture.cut(view_box(files, visit, height, width, size=modality.size))
        pixels = to_channels(part, modality.num_channels, str(path))
        if pixels.is_floating_point() and not pixels.isfinite().all():
            raise DataError(f"{path}: has pixels that are NaN or infinite; replace or remove it")
        resized = resize(pixels, modality.size, files.interpolation)
        if resized.is_floating_point() and not picture.pixels.is_floating_point():
            # Bicubic overshoots at edges, beyond what the file's integers can say.
            resized = resized.clamp(-1.0 if picture.pixels.dtype.is_signed else 0.0, 1.0)
        if is_mirrored(files, visit):
            resized = resized.flip(-1)
        return {"pixels": resized.contiguous()}
