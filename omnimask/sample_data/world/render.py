"""Colours of what a camera sees: shaded points, with shadows, frame by frame of a motion.

All but the subject stands still, so it is cast and shaded once; each frame adds the subject and its
shadow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from omnimask.sample_data.rays import Camera
from omnimask.sample_data.world.casting import (
    Hits,
    Rays,
    hidden_by_body,
    hidden_by_clutter,
    meet_body,
    meet_surroundings,
)
from omnimask.sample_data.world.factors import Scene
from omnimask.sample_data.world.paint import grain, on_plane, rgb
from omnimask.sample_data.world.stage import FLOOR, WALLS, Body, Points, Pose, Stage

_LIFT_M = 4e-3  # so that a surface does not shadow itself
_EXPOSURE = 1.2
Colours = Float32[np.ndarray, "points rgb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """Points to be shaded; `views` come from the camera. The rest is of the material."""

    places: Points
    normals: Points
    views: Points
    albedo: Colours
    specular: Float32[np.ndarray, " points"]
    shininess: Float32[np.ndarray, " points"]
    mirror: Float32[np.ndarray, " points"]

    def put(self, rows: Int64[np.ndarray, " some"], other: "Surface") -> None:
        """Writes the other's points over these."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shaded:
    """`ambient` is there anyway, `direct` where the light reaches."""

    ambient: Colours
    direct: Colours


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """`towards` is the unit vector to the light."""

    towards: Float32[np.ndarray, " 3"]
    colour: Float32[np.ndarray, " rgb"]
    ambient: float
    above: Float32[np.ndarray, " rgb"]
    below: Float32[np.ndarray, " rgb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What is there without the subject; `solids` -1 is the surroundings, -2 their floor, others
    are bodies by number.
    """

    rays: Rays
    range_m: Float32[np.ndarray, " rays"]
    solids: Int64[np.ndarray, " rays"]
    shaded: Shaded
    to_light: Rays


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One value per ray: colour in [0, 1], range and what was met, as in `Base`; subject is 0."""

    colour: Colours
    range_m: Float32[np.ndarray, " rays"]
    solids: Int64[np.ndarray, " rays"]


SURROUNDINGS, GROUND = -1, -2


def camera_of(scene: Scene) -> Camera:
    """At the subject's middle height, a little off it."""
    view, thing = scene.view, scene.subject
    back = np.array([np.cos(view.azimuth_rad), np.sin(view.azimuth_rad)])
    aside = np.array([-back[1], back[0]])
    flat = np.array([thing.x_m, thing.y_m]) + view.off_x_m * aside
    target = np.array([*flat, 0.38 * thing.size_m + view.off_z_m])
    level, up = np.cos(view.elevation_rad), np.sin(view.elevation_rad)
    place = target + view.distance_m * np.array([*(level * back), up])
    return Camera(place=place, target=target, view_deg=view.view_deg)


def light_of(scene: Scene) -> Light:
    sun = scene.sun
    azimuth = scene.view.azimuth_rad + sun.azimuth_rad
    level = np.cos(sun.elevation_rad)
    towards = [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(sun.elevation_rad)]
    tint = 0.18 * sun.warmth
    wall, floor = scene.room.wall_colours[0], scene.room.floor_colours[0]
    return Light(
        towards=np.array(towards, dtype=np.float32),
        colour=np.array([1 + tint, 1, 1 - tint], dtype=np.float32),
        ambient=sun.ambient,
        above=0.4 + 0.6 * rgb(*wall),
        below=0.7 * rgb(*floor),
    )


def rays_of(camera: Camera, side: int) -> Rays:
    directions = camera.directions(side).astype(np.float32)
    return Rays(starts=camera.place.astype(np.float32)[None], directions=directions)


def frames(stage: Stage, rays: Rays, poses: Sequence[Pose]) -> list[Frame]:
    """What the rays see with the subject at each pose."""
    light, subject = light_of(stage.scene), stage.bodies[0]
    base = _base(stage, rays, light)
    count = len(poses)
    found = meet_body(subject, poses, [rays] * count, solid=0)
    found = [_nearer(hits, base.range_m) for hits in found]
    surfaces = [_of_body(subject, rays, hits) for hits in found]
    shadows = hidden_by_body(subject, poses, [base.to_light] * count)
    coloured = _subject_colours(stage, poses, surfaces, light)
    opaque = np.float32(1 - subject.material.through)
    frames = []
    for hits, shadow, own in zip(found, shadows, coloured, strict=True):
        dark = opaque * shadow[:, None]
        colour = base.shaded.ambient + base.shaded.direct * (1 - dark)
        colour[hits.rows] = own + (1 - opaque) * colour[hits.rows]
        range_m, solids = base.range_m.copy(), base.solids.copy()
        range_m[hits.rows], solids[hits.rows] = hits.range_m, 0
        frames.append(Frame(colour=(_EXPOSURE * colour).clip(0, 1), range_m=range_m, solids=solids))
    return frames


def _base(stage: Stage, rays: Rays, light: Light) -> Base:
    hits = meet_surroundings(stage, rays)
    assert len(hits.rows) == len(rays), "a ray left the room"
    surface = _of_surroundings(stage, rays, hits)
    range_m = hits.range_m.copy()
    solids = np.where(hits.solids == FLOOR, GROUND, SURROUNDINGS)
    others = stage.bodies[1:]
    for number, body in enumerate(others, start=1):
        (met,) = meet_body(body, [body.rest], [rays], solid=number)
        met = _nearer(met, range_m)
        surface.put(met.rows, _of_body(body, rays, met))
        range_m[met.rows], solids[met.rows] = met.range_m, number
    to_light = _to_light(surface, light)
    hidden = _hidden(stage, to_light)
    shaded = _shade(surface, light)
    shaded = Shaded(ambient=shaded.ambient, direct=shaded.direct * ~hidden[:, None])
    return Base(rays=rays, range_m=range_m, solids=solids, shaded=shaded, to_light=to_light)


def _nearer(hits: Hits, range_m: Float32[np.ndarray, " rays"]) -> Hits:
    kept = hits.range_m < range_m[hits.rows]
    return Hits(**{name: getattr(hits, name)[kept] for name in Hits.__slots__})


def _hidden(stage: Stage, to_light: Rays) -> Bool[np.ndarray, " rays"]:
    """From the light, by all that stands still."""
    hidden = hidden_by_clutter(stage, to_light)
    for body in stage.bodies[1:]:
        hidden |= hidden_by_body(body, [body.rest], [to_light])[0]
    return hidden


def _subject_colours(
    stage: Stage, poses: Sequence[Pose], surfaces: Sequence[Surface], light: Light
) -> list[Colours]:
    """Of the subject's points in each frame, by their share of what is not seen through them."""
    subject = stage.bodies[0]
    to_light = [_to_light(surface, light) for surface in surfaces]
    own = hidden_by_body(subject, poses, to_light)
    whole = Surface(
        **{n: np.concatenate([getattr(s, n) for s in surfaces]) for n in Surface.__slots__}
    )
    hidden = np.concatenate(own) | _hidden(stage, _to_light(whole, light))
    shaded = _shade(whole, light)
    opaque = np.float32(1 - subject.material.through)
    colours = opaque * (shaded.ambient + shaded.direct * ~hidden[:, None])
    bounds = np.cumsum([len(surface.places) for surface in surfaces])[:-1]
    return np.split(colours, bounds)


def _to_light(surface: Surface, light: Light) -> Rays:
    starts = surface.places + np.float32(_LIFT_M) * surface.normals
    return Rays(starts=starts, directions=light.towards[None])


def _of_surroundings(stage: Stage, rays: Rays, hits: Hits) -> Surface:
    count = len(hits.rows)
    albedo = np.zeros((count, 3), dtype=np.float32)
    x, y, z = hits.places.T
    for number, paint in enumerate(stage.surroundings.paints):
        rows = np.flatnonzero(hits.solids == number)
        places = hits.places[rows]
        if number == FLOOR:
            places = on_plane(paint, y[rows], x[rows])
        elif number == WALLS:
            places = on_plane(paint, (x + y)[rows], z[rows])
        albedo[rows] = paint.at(places)
    return Surface(
        places=hits.places,
        normals=hits.normals,
        views=rays.directions[hits.rows],
        albedo=albedo,
        specular=np.zeros(count, dtype=np.float32),
        shininess=np.ones(count, dtype=np.float32),
        mirror=np.zeros(count, dtype=np.float32),
    )


def _of_body(body: Body, rays: Rays, hits: Hits) -> Surface:
    material = body.material
    views = rays.directions[hits.rows]
    brightened = grain(material.grain_kind, material.grain, hits.places)
    share = np.ones(len(views), dtype=np.float32)
    return Surface(
        places=rays.take(hits.rows).at(hits.range_m),
        normals=hits.normals,
        views=views,
        albedo=body.paint.at(hits.places) * brightened,
        specular=share * np.float32(material.specular),
        shininess=share * np.float32(material.shininess),
        mirror=share * np.float32(material.mirror),
    )


def _shade(surface: Surface, light: Light) -> Shaded:
    """Lambert and Blinn; a mirroring part sees bright walls above and the floor below."""
    normals, views = surface.normals, surface.views
    facing = (normals @ light.towards).clip(0, None)
    half = light.towards - views
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = np.einsum("nc,nc->n", normals, half).clip(0, None) ** surface.shininess
    shine *= surface.specular * (facing > 0)
    mirror = surface.mirror[:, None]
    upwards = views[:, 2] - 2 * np.einsum("nc,nc->n", views, normals) * normals[:, 2]
    above = (0.5 + 2.5 * upwards).clip(0, 1)[:, None]
    seen = (light.below + above * (light.above - light.below)) * (
        1 - mirror + mirror * surface.albedo
    )
    matt = surface.albedo * (1 - mirror)
    around = np.float32(light.ambient) * (0.8 + 0.2 * normals[:, 2:])
    direct = matt * facing[:, None] + shine[:, None]
    return Shaded(
        ambient=(matt * around + mirror * seen).astype(np.float32),
        direct=(np.float32(1 - light.ambient) * light.colour * direct).astype(np.float32),
    )
