"""Which factors leave a trace in which sense: the questions that a probe may ask of it."""

from omnimask.sample_data.world.layout import SENSES

CLASS_FACTORS = (
    *("family", "pose", "material", "colour", "pattern", "num_objects", "motion"),
    *("wall", "floor", "clutter"),
)
"""Those of a few values; all others are numbers."""

SEEN = {
    "image": (
        *("family", "slender", "thick", "pose", "size_m", "material", "colour", "pattern"),
        *("num_objects", "wall", "floor", "camera_elevation_rad", "camera_distance_m"),
        *("light_azimuth_rad", "light_elevation_rad", "light_warmth"),
    ),
    "video": (
        *("motion", "tempo", "family", "pose", "size_m", "material", "colour", "pattern"),
        *("num_objects", "wall", "floor", "camera_elevation_rad"),
    ),
    "audio": ("motion", "tempo", "material", "size_m", "family"),
    "points": (
        *("family", "slender", "thick", "taper", "pose", "num_objects"),
        "camera_elevation_rad",
    ),
    "voxels": ("family", "pose", "size_m", "num_objects", "clutter"),
    "table": (*("family", "slender", "thick", "size_m", "material", "colour", "motion", "tempo"),),
}
assert tuple(SEEN) == SENSES
