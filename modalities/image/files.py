"""Random views of image files."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modalities.image.channels import to_channels
from modalities.image.readers import read_picture
from modalities.image.tokens import ImagePatches
from omnimask.errors import DataError, RecipeError
from omnimask.modality import Draw, Sample
from omnimask.pixels import Box, Interpolation, center_box, random_box, resize

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
    labels: Literal["folder", "none"] = "folder"
    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    interpolation: Interpolation = "bicubic"
    max_pixels: int = 100_000_000

    def __post_init__(self) -> None:
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise RecipeError(
                "crop_scale must be two shares of the area, 0 < low <= high <= 1, got "
                f"{self.crop_scale}; write (0.2, 1.0)"
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise RecipeError(
                "crop_ratio must be width / height, 0 < low <= high, got "
                f"{self.crop_ratio}; write (0.75, 1.333)"
            )
        if not 0 <= self.flip <= 1:
            raise RecipeError(f"flip must be a probability in [0, 1], got {self.flip}")

    def open(self, root: str, modality: ImagePatches, /) -> "ImageSource":
        folder = Path(root, self.path)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of images; check `path` and the root")
        found = sorted(
            Path(place, name).relative_to(folder).as_posix()
            for place, _, names in os.walk(folder, followlinks=True)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        )
        if not found:
            raise DataError(
                f"{folder}: holds no image; expected files ending in {', '.join(SUFFIXES)}"
            )
        return ImageSource(folder, tuple(found), self, modality)


class ImageSource:
    """Random access to one view of each image; nothing stays open between reads."""

    def __init__(
        self, folder: Path, found: tuple[str, ...], files: ImageFiles, modality: ImagePatches
    ) -> None:
        self._folder, self._found = folder, found
        self._files, self._modality = files, modality

    def __len__(self) -> int:
        return len(self._found)

    def name(self, index: int, /) -> str:
        return Path(self._files.path, self._found[index]).as_posix()

    def label(self, index: int, /) -> str | None:
        if self._files.labels == "none":
            return None
        return Path(self._found[index]).parent.name or None

    def read(self, index: int, draw: Draw, /) -> Sample:
        """`pixels` (c h w) of the modality's size: uint8 from 8-bit files, else fp32."""
        path, files, modality = self._folder / self._found[index], self._files, self._modality
        picture = read_picture(path, grey=modality.num_channels == 1, max_pixels=files.max_pixels)
        height, width = picture.pixels.shape[-2:]
        part = picture.cut(self._box(height, width, draw))
        pixels = to_channels(part, modality.num_channels, str(path))
        if pixels.is_floating_point() and not pixels.isfinite().all():
            raise DataError(f"{path}: has pixels that are NaN or infinite; replace or remove it")
        resized = resize(pixels, modality.size, files.interpolation)
        if resized.is_floating_point() and not picture.pixels.is_floating_point():
            # Bicubic overshoots at edges, beyond what the file's integers can say.
            resized = resized.clamp(-1.0 if picture.pixels.dtype.is_signed else 0.0, 1.0)
        if draw.augment and draw.generator("flip").random() < files.flip:
            resized = resized.flip(-1)
        return {"pixels": resized.contiguous()}

    def _box(self, height: int, width: int, draw: Draw) -> Box:
        if not draw.augment:
            return center_box(height, width, aspect=self._modality.size[1] / self._modality.size[0])
        return random_box(
            draw.generator("crop"),
            height,
            width,
            scale=self._files.crop_scale,
            ratio=self._files.crop_ratio,
        )
