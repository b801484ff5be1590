"""Which part of a picture a reader cuts out, and whether it mirrors it.

Every reader of pictures asks here, so that aligned maps of one sample, which get the same `Visit`,
are cut and mirrored alike.
"""

from typing import Protocol, runtime_checkable

from omnimask.data.pixels import Box, center_box, random_box
from omnimask.tokens.modality import Visit


@runtime_checkable
class ViewFields(Protocol):
    """The fields of a record of files that shape its training views."""

    @property
    def crop_scale(self) -> tuple[float, float]: ...

    @property
    def crop_ratio(self) -> tuple[float, float]: ...

    @property
    def flip(self) -> float: ...


def view_box(
    files: ViewFields, visit: Visit, height: int, width: int, *, size: tuple[int, int]
) -> Box:
    """The part of a picture of `height` and `width` pixels to be resized to `size`."""
    if not visit.augment:
        return center_box(height, width, aspect=size[1] / size[0])
    return random_box(
        visit.generator("crop"), height, width, scale=files.crop_scale, ratio=files.crop_ratio
    )


def is_mirrored(files: ViewFields, visit: Visit) -> bool:
    return visit.augment and visit.generator("flip").random() < files.flip
