"""Views of files of class ids, cut and mirrored like the pictures they belong to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int32
from torch import Tensor

from modalities.image.labels import LabelPatches
from modalities.image.readers.header import read_header
from modalities.image.readers.limits import check_size
from modalities.image.readers.with_pillow import opened_with_pillow
from modalities.image.views import is_mirrored, view_box
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.data.pixels import check_crops
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Visit

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".tif", ".tiff")
_MODES = ("1", "L", "P", "I;16", "I;16B", "I")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFiles:
    """Class maps below `path`: PNG and TIFF of one channel, or PNG with a palette, whose numbers
    are the ids.

    The fields are those of `ImageFiles`. Give `crop_scale`, `crop_ratio` and `flip` the values of
    the pictures' files: views are then aligned, since all readers of a sample draw the same
    numbers. Ids are never mixed: each output pixel takes the id of the file's pixel at its centre.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    max_pixels: int = 100_000_000

    def __post_init__(self) -> None:
        check_crops(self.crop_scale, self.crop_ratio, self.flip)

    def open(self, root: str, modality: LabelPatches, /) -> "LabelSource":
        needs("torchvision", "PIL", extra="image")
        found = list_files(root, self.path, SUFFIXES, what="class maps", labels=self.labels)
        return LabelSource(found, self, modality)


class LabelSource:
    """Random access to one view of each map; nothing stays open between reads."""

    def __init__(self, found: FileList, files: LabelFiles, modality: LabelPatches) -> None:
        self.found = found
        self._files, self._modality = files, modality

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`classes` (h w) int32, the file's ids at the modality's `map_size`."""
        files, modality = self._files, self._modality
        with self.found.local(index) as path:
            classes = read_class_ids(path, max_pixels=files.max_pixels)
            _check_ids(classes, modality, path)
        box = view_box(files, visit, *classes.shape, size=modality.size)
        nearest = at_centres(box.cut(classes), modality.map_size)
        return {"classes": nearest.flip(-1) if is_mirrored(files, visit) else nearest}


def read_class_ids(path: Path, *, max_pixels: int) -> Int32[Tensor, "h w"]:
    """The numbers in a file of one channel, upright; a palette's colours are not looked at.

    `DataError`, naming the file, where it has several channels or a format that changes numbers.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); check that it is there") from error
    if (found := read_header(data, str(path)).format) not in ("PNG", "TIFF"):
        raise DataError(
            f"{path}: is a {found}, which need not keep numbers as they are; expected class ids in "
            "PNG or TIFF; make the file anew from its source"
        )
    with opened_with_pillow(data, path) as image:
        check_size(image.height, image.width, path, max_pixels=max_pixels)
        return _numbers(image, path)


def _numbers(image: "Image", path: Path) -> Int32[Tensor, "h w"]:
    from PIL import ImageOps

    if image.mode not in _MODES:
        raise DataError(
            f"{path}: has {image.mode} pixels; expected class ids, one whole number per pixel; "
            "turn colours into ids first, or read it with ImageFiles"
        )
    return torch.from_numpy(np.array(ImageOps.exif_transpose(image)).astype(np.int32))


def _check_ids(classes: Int32[Tensor, "h w"], modality: LabelPatches, path: Path) -> None:
    strange = (classes < 0) | (classes >= modality.num_classes)
    if modality.unknown is not None:
        strange &= classes != modality.unknown
    if strange.any():
        also = "" if modality.unknown is None else f" and {modality.unknown} for unknown"
        raise DataError(
            f"{path}: has the class id {classes[strange][0].item()}; expected 0 to "
            f"{modality.num_classes - 1}{also}; set num_classes and unknown of {modality.name}, or "
            "mend the file"
        )


def at_centres(classes: Int32[Tensor, "h w"], size: tuple[int, int]) -> Int32[Tensor, "y x"]:
    """The pixel in which the centre of each output pixel lies, so that nothing moves.

    torchvision's "nearest" takes the pixel at the upper left corner: up to half an output pixel
    away, which at stride 4 is two pixels of the picture.
    """
    rows, columns = (_centres(*lengths) for lengths in zip(classes.shape, size, strict=True))
    return classes[rows[:, None], columns[None]]


def _centres(length: int, wanted: int) -> Tensor:
    return (torch.arange(wanted) * 2 + 1) * length // (2 * wanted)
