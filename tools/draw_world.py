"""One scene of the world as its six senses have it, in one picture.

python tools/draw_world.py docs/world-scene.png --scene 0
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from omnimask.sample_data.world import clip, cloud, image, row, sound, sweep
from omnimask.sample_data.world.factors import Scene, draw_scene
from omnimask.sample_data.world.motion import FRAME_RATE_HZ, moves
from omnimask.sample_data.world.stage import Stage, build

_FACTS = ("family", "pose", "material", "colour", "pattern")
_DRAWN_FRAMES = 8
_NEAR_M = 15.0  # of a sweep, so that objects are seen


def draw(scene: Scene) -> Any:
    import matplotlib.pyplot as plt

    stage = build(scene)
    figure = plt.figure(figsize=(13, 9.6), layout="constrained")
    grid = figure.add_gridspec(4, 12, height_ratios=[1.35, 0.72, 0.85, 1.5])
    colour, depth, classes = image.observe(stage)
    maps = {"image": colour, "its depth": depth, "its classes": classes / len(image.CLASSES)}
    for number, (title, pixels) in enumerate(maps.items()):
        axes = figure.add_subplot(grid[0, 3 * number : 3 * number + 3])
        axes.imshow(pixels, cmap="tab20" if "classes" in title else "viridis_r")
        axes.set_title(title)
        axes.axis("off")
    _text(figure.add_subplot(grid[0, 9:]), "factors", _facts(scene))
    _clip(figure, grid[1, :], stage)
    _sound(figure.add_subplot(grid[2, :]), scene)
    _points(figure.add_subplot(grid[3, :4], projection="3d"), stage)
    _sweep(figure.add_subplot(grid[3, 4:8], projection="3d"), stage)
    cells = row.observe(stage, "")
    shown = {k: "–" if v is None else v for k, v in cells.items() if k != row.NAME}
    _text(figure.add_subplot(grid[3, 8:]), "table row", shown, columns=2)
    return figure


def _facts(scene: Scene) -> dict[str, Any]:
    thing = scene.subject
    return {
        **{name: getattr(thing, name, thing.shape.family) for name in _FACTS},
        "size": f"{thing.size_m:.2f} m",
        "slender, thick, taper": ", ".join(
            f"{x:.2f}" for x in (thing.shape.slender, thing.shape.thick, thing.shape.taper)
        ),
        "objects": 1 + len(scene.others),
        "motion": f"{scene.motion.kind}, tempo {scene.motion.tempo:.2f}",
        "camera": f"{np.rad2deg(scene.view.elevation_rad):.0f}° up, {scene.view.distance_m:.1f} m",
        "light": f"{np.rad2deg(scene.sun.azimuth_rad):.0f}°, "
        f"{np.rad2deg(scene.sun.elevation_rad):.0f}° up",
        "wall, floor": f"{scene.room.wall}, {scene.room.floor}",
        "clutter": scene.room.clutter,
    }


def _text(axes: Any, title: str, facts: Mapping[str, Any], *, columns: int = 1) -> None:
    axes.axis("off")
    axes.set_title(title)
    lines = [f"{name}: {value}" for name, value in facts.items()]
    rows = -(-len(lines) // columns)
    for column in range(columns):
        text = "\n".join(lines[column * rows : (column + 1) * rows])
        style = {"fontsize": 8, "va": "top", "linespacing": 1.35}
        axes.text(column / columns, 1, text, transform=axes.transAxes, **style)


def _clip(figure: Any, place: Any, stage: Stage) -> None:
    frames = clip.observe(stage)
    parts = place.subgridspec(1, _DRAWN_FRAMES, wspace=0.02)
    step = len(frames) // _DRAWN_FRAMES
    for number, part in enumerate(parts):
        axes = figure.add_subplot(part)
        axes.imshow(frames[number * step])
        axes.set_title(f"clip, {(number * step + 0.5) / FRAME_RATE_HZ:.2f} s", fontsize=9)
        axes.axis("off")


def _sound(axes: Any, scene: Scene) -> None:
    axes.specgram(sound.observe(scene), NFFT=256, Fs=sound.RATE_HZ, noverlap=192, vmin=-130)
    for at_s, _ in moves(scene.motion, np.zeros(1)).impacts:
        if at_s < sound.NUM_SAMPLES / sound.RATE_HZ:
            axes.axvline(at_s, color="white", linewidth=0.8, linestyle=":")
    axes.set_title("sound; dotted: where the motion strikes the ground", fontsize=10)
    axes.set_xlabel("s")
    axes.set_ylabel("Hz")


def _points(axes: Any, stage: Stage) -> None:
    points = cloud.observe(stage)
    axes.scatter(*points.T, s=2, c=points[:, 2], cmap="viridis")
    _settle(axes, points, "point cloud", azimuth_deg=205)


def _sweep(axes: Any, stage: Stage) -> None:
    found = sweep.observe(stage)
    near = found[np.hypot(found[:, 0], found[:, 1]) < _NEAR_M]
    axes.scatter(*near[:, :3].T, s=0.6, c=near[:, 2], cmap="viridis")
    _settle(axes, near[:, :3], "lidar sweep", azimuth_deg=-60)


def _settle(axes: Any, points: np.ndarray, title: str, *, azimuth_deg: float) -> None:
    axes.set_box_aspect(np.ptp(points, axis=0), zoom=1.15)
    axes.view_init(22, azimuth_deg)
    axes.set_title(title)
    axes.tick_params(labelsize=6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--scene", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("agg")
    draw(draw_scene(options.seed, options.scene)).savefig(options.out, dpi=75)


if __name__ == "__main__":
    main()
