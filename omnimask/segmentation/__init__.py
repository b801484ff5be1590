"""The class of every place of a sample: semantic segmentation, and parts of clouds."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnimask.segmentation.head import SegmentationHead
    from omnimask.segmentation.job import load_segmentation, segment
    from omnimask.segmentation.places import FreePlaces, GridPlaces, PlaceLabels, Places
    from omnimask.segmentation.recipe import Segmentation, SegmentationLoss

# Loaded when first used: the command line and the modalities need but a part.
_PLACES = {
    "FreePlaces": "places",
    "GridPlaces": "places",
    "PlaceLabels": "places",
    "Places": "places",
    "Segmentation": "recipe",
    "SegmentationHead": "head",
    "SegmentationLoss": "recipe",
    "load_segmentation": "job",
    "segment": "job",
}

__all__ = [
    "FreePlaces",
    "GridPlaces",
    "PlaceLabels",
    "Places",
    "Segmentation",
    "SegmentationHead",
    "SegmentationLoss",
    "load_segmentation",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'omnimask.segmentation' has no attribute {name!r}")
    return vars(importlib.import_module(f"omnimask.segmentation.{_PLACES[name]}"))[name]
