"""The image of a scene at rest, its depth and its class map."""

import io

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from omnimask.sample_data.world.render import GROUND, SURROUNDINGS, camera_of, frames, rays_of
from omnimask.sample_data.world.shapes import NAMES
from omnimask.sample_data.world.stage import Stage

SIDE = 64
_RAYS_PER_SIDE = 2  # of a pixel
CLASSES = ("surroundings", "ground", *NAMES)
"""The class ids of the semantic maps, from 0."""
_JPEG_QUALITY = 92


def observe(
    stage: Stage,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt16[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """Colour; depth along the viewing direction in millimetres; class ids."""
    scene, camera = stage.scene, camera_of(stage.scene)
    rays = rays_of(camera, SIDE * _RAYS_PER_SIDE)
    (frame,) = frames(stage, rays, [stage.bodies[0].rest])
    cells = (SIDE, _RAYS_PER_SIDE, SIDE, _RAYS_PER_SIDE)
    colour = frame.colour.reshape(*cells, 3).mean(axis=(1, 3))
    rng = scene.generator("image noise")
    noisy = colour + rng.normal(0, rng.uniform(0.003, 0.012), size=colour.shape)
    depth_m = frame.range_m * (rays.directions @ camera.forward().astype(np.float32))
    kinds = [CLASSES.index(body.thing.shape.family) for body in stage.bodies]
    table = {SURROUNDINGS: 0, GROUND: 1} | dict(enumerate(kinds))
    ids = np.array([table[solid] for solid in range(GROUND, len(kinds))], dtype=np.uint8)
    at_centre = (slice(None), _RAYS_PER_SIDE // 2, slice(None), _RAYS_PER_SIDE // 2)
    return (
        np.round(255 * noisy.clip(0, 1)).astype(np.uint8),
        np.round(1000 * depth_m.reshape(cells)[at_centre]).astype(np.uint16),
        ids[frame.solids - GROUND].reshape(cells)[at_centre],
    )


def jpeg(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    return _encoded(pixels, "JPEG", quality=_JPEG_QUALITY)


def png(pixels: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]) -> bytes:
    return _encoded(pixels, "PNG", compress_level=3)


def _encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()
