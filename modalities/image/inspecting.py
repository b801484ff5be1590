"""What pictures say of themselves, and how they would be pretrained (MAE, 2111.06377)."""

import math
from collections.abc import Sequence
from pathlib import Path

from modalities.image.files import SUFFIXES, ImageFiles
from modalities.image.modality import ImagePatches
from modalities.image.readers.choice import read_picture
from omnimask.foundation.optional import needs
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import RandomMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content

_LARGEST = {True: 224, False: 64}  # side in pixels, on a large device and on another
_CHANNELS = "channels"
_ALIKE = 1.1  # proportions that differ by less are one


def _look(path: Path) -> Look:
    needs("torchvision", "PIL", extra="image", what=path.name)
    if path.suffix.lower() in (".tif", ".tiff"):
        needs("tifffile", extra="image", what=path.name)
    picture = read_picture(path, grey=False, max_pixels=ImageFiles().max_pixels)
    channels, height, width = picture.pixels.shape
    colours = 1 if channels <= 2 else 3  # without alpha
    return Look(
        facts={"height (pixels)": height, "width (pixels)": width},
        variant=f"{channels} channels" if channels > 4 else "",  # grey becomes colour where asked
        words={
            "values": str(picture.pixels.dtype).removeprefix("torch."),
            _CHANNELS: str(channels if channels > 4 else colours),
        },
    )


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    proportions = sorted(f.facts["height (pixels)"] / f.facts["width (pixels)"] for f in looks)
    low, high = proportions[len(looks) // 4], proportions[3 * len(looks) // 4]
    shape = proportions[len(looks) // 2] if high / low < _ALIKE else 1.0
    area = median(looks, "height (pixels)") * median(looks, "width (pixels)")
    side = min(math.sqrt(area), _LARGEST[budget.large])
    patch = 16 if side >= 160 else 8 if side >= 48 else 4 if side >= 16 else 2
    height, width = (
        max(round(side * factor / patch), 1) * patch
        for factor in (math.sqrt(shape), 1 / math.sqrt(shape))
    )
    channels = max(int(look.words[_CHANNELS]) for look in looks)
    return Proposal(
        modality=ImagePatches(size=(height, width), patch=(patch, patch), num_channels=channels),
        masker=RandomMask(ratio=0.75),
        content=(("pixels", Content(norm="token"), mse),),
        reasons=(
            f"pictures: {height} × {width} pixels in patches of {patch}, from a middle size of "
            f"{math.sqrt(area):.0f} pixels a side and at most {_LARGEST[budget.large]} here",
            "3 of 4 patches are hidden, pixels normalised per patch: MAE, 2111.06377",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> ImageFiles:
    return ImageFiles(path=path, flip=0.0)  # digits and letters are not their mirror images


INSPECTOR = Inspector(name="image", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
