"""Draws one step of a recipe with the shapes that go along each arrow, measured on real samples.

python tools/draw_step.py docs/step.png [--recipe recipes.mae:debug] [--data data/sample]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOMS = {  # a part of the step: the file to read, and where it stands (column, row)
    "reader": ("data/streams.py", (0, 0)),
    "split": ("modalities/*/modality.py", (1, 0)),
    "target": ("objectives/targets.py", (2, 1)),
    "masker": ("masking/", (2, 0)),
    "embed": ("network/encoder.py", (3, 0)),
    "blocks": ("network/blocks.py", (4, 0)),
    "decoder": ("decoders/", (5, 0)),
    "head": ("training/step.py", (6, 0)),
    "loss": ("objectives/objective.py", (6, 1)),
}
ARROWS = (  # from, to, what goes along
    ("reader", "split", "raw"),
    ("split", "target", "tokens"),
    ("split", "masker", "layout"),
    ("masker", "embed", "plan"),
    ("embed", "blocks", "packed"),
    ("blocks", "decoder", "encoded"),
    ("decoder", "head", "rows"),
    ("head", "loss", "predicted"),
    ("target", "loss", "truth"),
)


_WIDTH, _HEIGHT = 0.62, 0.36  # of a box, where columns and rows are 1 apart


def measure(reference: str, data: str | None) -> dict[str, str]:
    """What goes along each arrow, in words and shapes."""
    from omnimask.data.streams import Shard, Steps, open_streams
    from omnimask.objectives.objective import Outcome
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.training.fitting import fit
    from omnimask.training.step import build_model

    recipe = load_named_recipe(reference)
    if data is not None:
        recipe = replace(recipe, data=replace(recipe.data, root=data))
    recipe = fit(recipe)
    model = build_model(recipe).eval()
    group = Steps(recipe, open_streams(recipe), Shard())[0].micro[0][0]
    packed: list[torch.Size] = []
    hook = model.backbone.encoder.register_forward_pre_hook(
        lambda module, arguments: packed.append(arguments[0].shape)
    )
    (view,) = model.views([group])
    (plan,) = model.masks(view, 0.0)
    (encoded,) = model.encode([view], [[plan]])
    hook.remove()
    objective = recipe.objectives[0]
    truth = model.truths(view, Outcome())[objective.name]
    features, _ = model.decode(encoded)
    predicted = model.predictions(encoded)[objective.name]
    tokens = view.tokens[objective.modality]
    raw = {
        name: part
        for name, part in group.raw[objective.modality].items()
        if isinstance(part, torch.Tensor)
    }
    return {
        "raw": "\n".join(f"{name} {_shape(part)}" for name, part in raw.items()),
        "tokens": f"values (b n v) {_shape(tokens.values)}",
        "layout": f"coords (b n c) {_shape(tokens.coords)}\nvalid (b n) {_shape(tokens.valid)}",
        "plan": f"visible_ids (r k) {_shape(plan.visible_ids)}\n"
        f"predict_ids (r m) {_shape(plan.predict_ids)}",
        "packed": f"x (t d) {_text(packed[0])}\nno padding",
        "encoded": f"prefix (p d) {_shape(encoded.prefix[0])}\n"
        f"visible (t d) {_shape(encoded.visible[0])}",
        "rows": f"(r m d) {_shape(features[objective.decoder])}",
        "predicted": f"(r m p) {_shape(predicted)}",
        "truth": f"values (b n t) {_shape(truth)}\nat predict_ids: (r m t)",
    }


def _shape(tensor: torch.Tensor) -> str:
    return _text(tensor.shape)


def _text(shape: torch.Size) -> str:
    return "×".join(map(str, shape))


def draw(shapes: dict[str, str], title: str) -> Figure:
    figure = Figure(figsize=(19, 4.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.55, 6.6)
    axes.set_ylim(-1.35, 0.75)
    axes.axis("off")
    places = {name: (x, -1.0 * y) for name, (_, (x, y)) in ROOMS.items()}
    for name, (file, _) in ROOMS.items():
        x, y = places[name]
        corner = (x - _WIDTH / 2, y - _HEIGHT / 2)
        style: dict[str, Any] = {"boxstyle": "round,pad=0.02", "fc": "#dbeafe", "ec": "#2563eb"}
        axes.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, **style))
        axes.text(x, y + 0.07, name, ha="center", va="center", fontsize=13, weight="bold")
        axes.text(x, y - 0.09, file, ha="center", va="center", fontsize=8)
    for start, end, what in ARROWS:
        (x0, y0), (x1, y1) = places[start], places[end]
        bend = y0 != y1 and x0 != x1
        axes.annotate(
            "",
            (x1, y1),
            (x0, y0),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#475569",
                "shrinkA": 64 if y0 == y1 else 36,
                "shrinkB": 64 if y0 == y1 else 36,
                "connectionstyle": "arc3,rad=0.15" if bend else "arc3",
            },
        )
        above = 0.22 if y0 == y1 else 0.0
        text = (x0 + x1) / 2 - (0.1 if bend else 0.0), (y0 + y1) / 2 + above
        white = {"fc": "white", "ec": "none", "pad": 1.5}
        axes.text(*text, shapes[what], ha="center", va="bottom", fontsize=8.5, bbox=white)
    axes.set_title(title, y=0.9, fontsize=12)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description="one step with its shapes, as a picture")
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="recipes.mae:debug")
    parser.add_argument("--data", default=None, help="folder in place of data.root")
    arguments = parser.parse_args()
    title = f"One step of {arguments.recipe}: b samples, n tokens each, r = b × copies rows"
    figure = draw(measure(arguments.recipe, arguments.data), title)
    figure.savefig(arguments.out, dpi=80)
    print(arguments.out)


if __name__ == "__main__":
    main()
