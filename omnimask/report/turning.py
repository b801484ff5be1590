"""Clouds of points that turn under the mouse: a piece of a page, and the one script that it needs.

The script draws on plain canvases, so that a page opens from a folder, needs no network, and holds
as many scenes as there are samples. The scenes of one piece turn together.
"""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

VISIBLE, HIDDEN, PREDICTED, PLAIN = "#2f6fb7", "#9ca3af", "#e8871e", "#0f9d8a"
_MOST_POINTS = 2000  # of a layer: more make reports heavy and turn slowly
_STEPS = 65_535  # a place is a whole number of these, from wall to wall of the box


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Points of one role (`name`, which the legend has) in one colour; `size` times a plain dot."""

    name: str
    color: str
    points: Float[np.ndarray, "p 3"]
    size: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    title: str
    layers: tuple[Layer, ...]


def turning(scenes: Sequence[Scene], *, what: str) -> str:
    """HTML with a canvas for each scene and a legend whose boxes hide a role in all of them.

    `what` is said to those who cannot see the canvases. All scenes are in one box, that of all
    their points; z points up. Dead without `TURNING_SCRIPT`, which a page has once.
    """
    points = [layer.points for scene in scenes for layer in scene.layers]
    everything = np.concatenate([*points, np.zeros((0 if any(map(len, points)) else 1, 3))])
    low, high = everything.min(axis=0), everything.max(axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-9)
    written = [
        {
            "title": scene.title,
            "layers": [
                {
                    "name": layer.name,
                    "color": layer.color,
                    "size": layer.size,
                    "points": _packed((_thinned(layer.points) - middle) / half),
                }
                for layer in scene.layers
                if len(layer.points)
            ],
        }
        for scene in scenes
    ]
    data, said = html.escape(json.dumps(written)), html.escape(what)
    roles = {layer.name: layer.color for s in scenes for layer in s.layers if len(layer.points)}
    boxes = "".join(
        f'<label><input type="checkbox" checked value="{html.escape(name)}">'
        f'<span style="background:{color}"></span>{html.escape(name)}</label>'
        for name, color in roles.items()
    )
    return (
        f'<div class="turning" data-scenes="{data}" data-what="{said}">'
        f'<div class="canvases"></div><div class="roles">{boxes}'
        "<small>drag to turn; double click to go back; when chosen, arrows turn and + − or the "
        "wheel zoom</small></div></div>"
    )


def has_turning(piece: str) -> bool:
    """Whether a piece of a page needs `TURNING_SCRIPT`."""
    return 'class="turning"' in piece


def _thinned(points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "q 3"]:
    """At most `_MOST_POINTS`, evenly."""
    if len(points) <= _MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, _MOST_POINTS).astype(int)]


def _packed(places: Float[np.ndarray, "p 3"]) -> str:
    """Places in [-1, 1] as base64 of 16-bit numbers, little end first: x y z of each point."""
    steps = ((places.clip(-1, 1) + 1) / 2 * _STEPS).round().astype("<u2")
    return base64.b64encode(steps.tobytes()).decode()


TURNING_CSS = """
.turning { margin: 6px 0 2px; }
.turning .canvases { display: grid; gap: 6px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.turning .scene { position: relative; }
.turning .scene b { position: absolute; left: 8px; top: 4px; font-size: 12.5px; font-weight: 500;
  color: var(--soft); pointer-events: none; }
.turning canvas { display: block; width: 100%; aspect-ratio: 1; border: 1px solid var(--line);
  border-radius: 8px; cursor: grab; touch-action: pan-y; }
.turning canvas:active { cursor: grabbing; }
.turning canvas:focus-visible { outline: 2px solid var(--accent); }
.turning .roles { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: center;
  margin-top: 4px; font-size: 12.5px; color: var(--soft); }
.turning .roles label { display: inline-flex; gap: 5px; align-items: center; }
.turning .roles span { width: 10px; height: 10px; border-radius: 50%; }
"""

TURNING_SCRIPT = """
"use strict";
(() => {
  const START = { yaw: -0.6, pitch: 0.42, zoom: 1 };
  const EYE = 5; // how far the eye stands, in half boxes

  function placesOf(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return Float32Array.from(new Uint16Array(bytes.buffer), (step) => (step / 65535) * 2 - 1);
  }

  // Draws one scene as it looks from where the piece is turned to; far points first.
  function draw(canvas, scene, turn, shown) {
    const ratio = window.devicePixelRatio || 1;
    const side = Math.round(canvas.clientWidth * ratio);
    if (!side) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, side, side);
    const [cy, sy] = [Math.cos(turn.yaw), Math.sin(turn.yaw)];
    const [cp, sp] = [Math.cos(turn.pitch), Math.sin(turn.pitch)];
    const dots = [];
    for (const layer of scene.layers) {
      if (!shown.has(layer.name)) continue;
      const p = layer.places;
      for (let i = 0; i < p.length; i += 3) {
        const right = cy * p[i] - sy * p[i + 1];
        const away = sy * p[i] + cy * p[i + 1];
        const depth = cp * away - sp * p[i + 2];
        const up = sp * away + cp * p[i + 2];
        dots.push([depth, right, up, layer]);
      }
    }
    dots.sort((a, b) => b[0] - a[0]);
    const scale = 0.36 * side * turn.zoom;
    const dot = Math.max(side / 110, 1.5 * ratio);
    for (const [depth, right, up, layer] of dots) {
      const near = EYE / (EYE + depth);
      const size = dot * layer.size * near * Math.sqrt(turn.zoom);
      pen.globalAlpha = Math.min(1, Math.max(0.35, 0.75 - 0.3 * depth));
      pen.fillStyle = layer.color;
      const x = side / 2 + scale * near * right;
      const y = side / 2 - scale * near * up;
      pen.fillRect(x - size / 2, y - size / 2, size, size);
    }
    pen.globalAlpha = 1;
  }

  function begin(piece) {
    const scenes = JSON.parse(piece.dataset.scenes);
    const shown = new Set();
    const turn = { ...START };
    const views = scenes.map((scene) => {
      for (const layer of scene.layers) {
        layer.places = placesOf(layer.points);
        shown.add(layer.name);
      }
      const holder = document.createElement("div");
      holder.className = "scene";
      const title = document.createElement("b");
      title.textContent = scene.title;
      const canvas = document.createElement("canvas");
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${piece.dataset.what}: ${scene.title}`);
      holder.append(canvas, title);
      piece.querySelector(".canvases").append(holder);
      return { canvas, scene };
    });
    let asked = false;
    const again = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        for (const view of views) draw(view.canvas, view.scene, turn, shown);
      });
    };
    const turnBy = (yaw, pitch) => {
      turn.yaw += yaw;
      turn.pitch = Math.min(1.57, Math.max(-1.57, turn.pitch + pitch));
      again();
    };
    const zoomBy = (factor) => {
      turn.zoom = Math.min(8, Math.max(0.4, turn.zoom * factor));
      again();
    };
    const goBack = () => {
      Object.assign(turn, START);
      again();
    };
    const keys = {
      ArrowLeft: () => turnBy(-0.1, 0), ArrowRight: () => turnBy(0.1, 0),
      ArrowUp: () => turnBy(0, -0.1), ArrowDown: () => turnBy(0, 0.1),
      "+": () => zoomBy(1.15), "=": () => zoomBy(1.15), "-": () => zoomBy(1 / 1.15), 0: goBack,
    };
    for (const { canvas } of views) {
      let held = null;
      canvas.addEventListener("pointerdown", (event) => {
        held = [event.clientX, event.clientY];
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!held) return;
        turnBy((event.clientX - held[0]) * 0.011, (event.clientY - held[1]) * 0.011);
        held = [event.clientX, event.clientY];
      });
      for (const end of ["pointerup", "pointercancel"])
        canvas.addEventListener(end, () => (held = null));
      canvas.addEventListener("dblclick", goBack);
      canvas.addEventListener("keydown", (event) => {
        if (!(event.key in keys)) return;
        event.preventDefault();
        keys[event.key]();
      });
      // Only a chosen scene takes the wheel: the page must scroll past the others.
      canvas.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas) return;
        event.preventDefault();
        zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
      }, { passive: false });
      new ResizeObserver(again).observe(canvas);
    }
    for (const box of piece.querySelectorAll(".roles input"))
      box.addEventListener("change", () => {
        if (box.checked) shown.add(box.value);
        else shown.delete(box.value);
        again();
      });
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll(".turning").forEach(begin));
})();
"""
