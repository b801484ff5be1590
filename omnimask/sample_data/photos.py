"""The photographs inside the scikit-image and scikit-learn packages, read without a download.

Taken are those whose terms the packages state, in the documentation of the function that loads
them (skimage.data) or in the README beside them (sklearn.datasets).
"""

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One photograph and the edge its held-out quarter lies at."""

    package: str
    file: str
    held_out_edge: str
    """"left", "right" or "bottom": where both parts show something of the photograph's subject."""
    licence: str


PHOTOS = {
    "astronaut": Photo(
        package="skimage",
        file="data/astronaut.png",
        held_out_edge="left",
        licence="NASA, Eileen Collins; public domain",
    ),
    "brick": Photo(
        package="skimage", file="data/brick.png", held_out_edge="right", licence="CC0Textures; CC0"
    ),
    "camera": Photo(
        package="skimage",
        file="data/camera.png",
        held_out_edge="right",
        licence="Lav Varshney; CC0",
    ),
    "chelsea": Photo(
        package="skimage",
        file="data/chelsea.png",
        held_out_edge="left",
        licence="Stefan van der Walt; CC0",
    ),
    "china": Photo(
        package="sklearn",
        file="datasets/images/china.jpg",
        held_out_edge="bottom",
        licence="danielbuechele on Flickr; CC BY 2.0",
    ),
    "coffee": Photo(
        package="skimage",
        file="data/coffee.png",
        held_out_edge="bottom",
        licence="Rachel Michetti; CC0",
    ),
    "coins": Photo(
        package="skimage",
        file="data/coins.png",
        held_out_edge="right",
        licence="Brooklyn Museum Collection; no known copyright restrictions",
    ),
    "flower": Photo(
        package="sklearn",
        file="datasets/images/flower.jpg",
        held_out_edge="bottom",
        licence="vultilion on Flickr, as its link says; CC BY 2.0",
    ),
    "grass": Photo(
        package="skimage",
        file="data/grass.png",
        held_out_edge="right",
        licence="linolafett on DeviantArt; CC0",
    ),
    "gravel": Photo(
        package="skimage", file="data/gravel.png", held_out_edge="right", licence="CC0Textures; CC0"
    ),
    "hubble": Photo(
        package="skimage",
        file="data/hubble_deep_field.jpg",
        held_out_edge="right",
        licence="NASA and ESA; public domain",
    ),
    "ihc": Photo(
        package="skimage",
        file="data/ihc.png",
        held_out_edge="right",
        licence="Center for Microscopy And Molecular Imaging; no known copyright restrictions",
    ),
    "retina": Photo(
        package="skimage",
        file="data/retina.jpg",
        held_out_edge="right",
        licence="Häggström on Wikimedia; CC0",
    ),
    "rocket": Photo(
        package="skimage",
        file="data/rocket.jpg",
        held_out_edge="left",
        licence="SpaceX; public domain",
    ),
}


@lru_cache(maxsize=len(PHOTOS))
def read_photo(name: str) -> UInt8[np.ndarray, "height width channels"]:
    """The photograph, with one channel or three."""
    from PIL import Image

    photo = PHOTOS[name]
    spec = importlib.util.find_spec(photo.package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    with Image.open(Path(spec.submodule_search_locations[0]) / photo.file) as image:
        pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def photo_region(name: str, split: str) -> UInt8[np.ndarray, "height width channels"]:
    """The part of the photograph that belongs to `split`: a quarter at one edge is held out."""
    pixels = read_photo(name)
    edge = PHOTOS[name].held_out_edge
    axis = 0 if edge == "bottom" else 1
    length = pixels.shape[axis]
    border = length // 4 if edge == "left" else length * 3 // 4
    first, last = slice(0, border), slice(border, None)
    part = first if (edge == "left") == (split == "held_out") else last
    return pixels[part] if axis == 0 else pixels[:, part]
