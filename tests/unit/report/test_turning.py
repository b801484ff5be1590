"""Clouds that turn: what the piece of a page holds, and what a browser makes of it."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from omnimask.report.turning import (
    PREDICTED,
    TURNING_CSS,
    TURNING_SCRIPT,
    VISIBLE,
    Layer,
    Scene,
    has_turning,
    turning,
)

CORNERS = np.array([[0.0, 0.0, 0.0], [2.0, 1.0, 4.0]])
NOTHING = np.zeros((0, 3))


def piece(name: str = "visible") -> str:
    seen = Layer(name=name, color=VISIBLE, points=CORNERS)
    empty = Layer(name="predicted", color=PREDICTED, points=NOTHING)
    return turning([Scene(title="a <cloud>", layers=(seen, empty))], what='a "cloud"')


def scenes_of(text: str) -> list[dict]:
    found = re.search(r'data-scenes="([^"]*)"', text)
    assert found is not None
    return json.loads(html.unescape(found.group(1)))


def test_points_come_back_in_the_proportions_of_their_box():
    (scene,) = scenes_of(piece())
    (layer,) = scene["layers"]  # one without points is left out, of the legend too
    steps = np.frombuffer(base64.b64decode(layer["points"]), dtype="<u2").reshape(-1, 3)
    places = steps / 65_535 * 2 - 1
    np.testing.assert_allclose(places, [[-0.5, -0.25, -1.0], [0.5, 0.25, 1.0]], atol=1e-4)
    assert "predicted" not in piece()


def test_names_are_escaped_and_the_piece_needs_no_network():
    text = piece(name="<script>")
    assert "<script>" not in text
    assert scenes_of(text)[0]["title"] == "a <cloud>"
    assert has_turning(text)
    assert not has_turning("<p>turning</p>")
    for part in (text, TURNING_SCRIPT, TURNING_CSS):
        assert "http" not in part
        assert "url(" not in part


def test_many_points_are_thinned_and_none_are_drawn_empty():
    many = Layer(name="a", color=VISIBLE, points=np.random.default_rng(0).random((9000, 3)))
    (scene,) = scenes_of(turning([Scene(title="", layers=(many,))], what="many"))
    assert len(base64.b64decode(scene["layers"][0]["points"])) == 2000 * 3 * 2
    none = Layer(name="a", color=VISIBLE, points=NOTHING)
    assert scenes_of(turning([Scene(title="", layers=(none,))], what="none"))[0]["layers"] == []


# Draws, drags by a hundred pixels, and says in the title how many pixels of the canvas changed.
DRAG = """
const canvas = document.querySelector("canvas");
const pixels = () =>
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const inked = (data) => data.filter((_, i) => i % 4 === 3 && data[i] > 0).length;
const until = (ready, then) => {
  const timer = setInterval(() => { if (ready()) { clearInterval(timer); then(); } }, 50);
};
const event = (kind, x) =>
  canvas.dispatchEvent(new PointerEvent(kind, { clientX: x, clientY: 50, pointerId: 1 }));
canvas.setPointerCapture = () => {};
until(() => inked(pixels()) > 300, () => {
  const before = pixels();
  const changed = () => pixels().filter((value, i) => value !== before[i]).length;
  event("pointerdown", 50); event("pointermove", 150); event("pointerup", 150);
  until(() => changed() > 300 && inked(pixels()) > 300, () => {
    document.body.textContent = `inked ${inked(before)} ${inked(pixels())} changed ${changed()}`;
  });
});
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_cloud_turns_when_it_is_dragged(tmp_path: Path):
    cloud = np.random.default_rng(0).normal(size=(300, 3)) * [3.0, 1.0, 1.0]
    layer = Layer(name="visible", color=VISIBLE, points=cloud)
    text = turning([Scene(title="cloud", layers=(layer,))], what="a cloud")
    page = tmp_path / "page.html"
    page.write_text(
        f"<style>{TURNING_CSS}</style><script>{TURNING_SCRIPT}</script>"
        f"<div style='width:300px'>{text}</div>"
        f"<script>addEventListener('load', () => {{{DRAG}}})</script>"
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=10000", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"inked (\d+) (\d+) changed (\d+)", done.stdout.rpartition("<body>")[2])
    assert found is not None, done.stdout[-500:]
    before, after, changed = map(int, found.groups())
    assert before > 300
    assert after > 300
    assert changed > 300
