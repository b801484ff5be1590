"""Draws a picture of every method, for docs/methods.md: trains its small recipe for seconds first.

    python tools/make_gallery.py docs/methods
    python tools/make_gallery.py docs/methods --methods mae capi --steps 300

Each method of `recipes/` with a `cpu` recipe gets one picture, `NAME.webp` in the folder: of two
held-out samples the input, a mask of the recipe, what is reconstructed where something is, and the
tokens' features as colours beside those of random weights. What was trained is kept in `--runs`,
so that the tool can be stopped and started again; a picture is drawn anew when its method is named,
has none, or with `--again`. The table between the marks `<!-- gallery -->` and `<!-- /gallery -->`
of the page has all pictures that are there. Needs `data/sample`.
"""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.foundation.errors import OmnimaskError, RecipeError, nearest_names
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.teacher import FrozenTeacher
from tools.docs_pages import PICTURED, pictures_of
from tools.methods import methods, small_recipe_of, teacher_of, teachers_first

if TYPE_CHECKING:
    from PIL.Image import Image

    from omnimask.report.drawing.grid import Section
    from omnimask.report.drawing.panels import Pixels
    from omnimask.tokens.tokens import View
    from omnimask.training.step import MaskedModel
    from omnimask.transfer.imputing.fill import Filled

START, END = "<!-- gallery -->", "<!-- /gallery -->"
MOST_BYTES = 80_000  # of a picture in a repository
WIDTH = 860
STEPS = 120
SAMPLES = 2
MASK, REBUILT, FEATURES, RANDOM = "mask", "reconstruction", "features", "random weights"
FAMILIES = (
    "Hidden content of pictures",
    "Hidden content of other modalities",
    "The student's own features",
    "Features or codes of another encoder",
)


def family(recipe: Recipe) -> str:
    """What the recipe's objectives ask for, in words of the page."""
    if any(objective.target.teacher_layers for objective in recipe.objectives):
        return FAMILIES[3 if isinstance(recipe.teacher, FrozenTeacher) else 2]
    pictures = {"image", "rgb", "depth", "semantic"}
    return FAMILIES[0 if {m.name for m in recipe.modalities} <= pictures else 1]


def train_small(method: str, recipe: Recipe, runs: Path, *, steps: int) -> Path:
    """The run of a method, trained unless it is there; its teacher's run must be."""
    from omnimask.commands.pretrain import train
    from omnimask.recipe.settings import Run
    from omnimask.training.checkpoint import list_checkpoints

    run = runs / f"{steps}-steps" / method
    if (run / "cost.json").is_file() and list_checkpoints(run):
        return run
    if isinstance(recipe.teacher, FrozenTeacher) and recipe.teacher.run is not None:
        teacher = teacher_of(recipe) or ""
        recipe = replace(recipe, teacher=replace(recipe.teacher, run=str(run.parent / teacher)))
    quiet = Run(num_workers=0, checkpoint_every=10**9, tracker="none", report=False, log_every=25)
    optim = replace(recipe.optim, steps=steps, warmup_steps=max(steps // 10, 1))
    before = time.process_time()
    train(replace(recipe, optim=optim, run=quiet), run)
    cost = {"steps": steps, "cpu_s": round(time.process_time() - before, 1)}
    (run / "cost.json").write_text(json.dumps(cost))
    return run


def draw_method(method: str, run: Path, out: Path) -> Path:
    """Writes the method's picture."""
    from omnimask.report.drawing.sheet import Sheet, paint
    from omnimask.transfer.loading import load_model

    model = load_model(run)
    sheet = Sheet(title="", sections=tuple(_sections(model)), note=_said(model.recipe, run))
    out.mkdir(parents=True, exist_ok=True)
    path = picture_path(out, method)
    path.write_bytes(small_webp(paint(sheet, width=WIDTH)))
    return path


def picture_path(out: Path, method: str) -> Path:
    return out / f"{method}.webp"


def _said(recipe: Recipe, run: Path) -> str:
    """How little training the picture shows the outcome of."""
    cost = json.loads((run / "cost.json").read_text())
    batch = sum(stream.batch_size for stream in recipe.data.streams) * recipe.optim.accumulate
    return (
        f"A small run: {cost['steps']} steps of {batch} samples, {cost['cpu_s']:.0f} s of one CPU "
        f"core, an encoder {recipe.encoder.width} wide with {recipe.encoder.depth} blocks. "
        "Held-out samples."
    )


def _sections(model: "MaskedModel") -> list["Section"]:
    from omnimask.data.samples import spread
    from omnimask.data.streams import StreamReader
    from omnimask.report.drawing.feature_sheet import untrained_like
    from omnimask.report.drawing.features import painted_features
    from omnimask.transfer.imputing.fill import fill

    sections = []
    untrained = untrained_like(model.recipe)
    for stream in model.recipe.data.streams:
        reader = StreamReader(stream, stream.held_out or stream.files, model.recipe)
        (view,) = model.views([reader.held_out_group(spread(len(reader), SAMPLES))])
        filled, painted = fill(model, view), painted_features(model.backbone, untrained, view)
        for name in painted:
            colors = [part.colors[:2] for part in painted[name]]
            sections += _section(model, view, name, filled[name], colors)
    return sections


def _section(
    model: "MaskedModel", view: "View", name: str, filled: "Filled", colors: Sequence
) -> list["Section"]:
    """The samples of one modality; of one without panels (a row of a table) only the first."""
    from omnimask.report.drawing.features import Painted, paint
    from omnimask.report.drawing.grid import Line, Section
    from omnimask.report.drawing.masks import draw_visits, mask_pictures
    from omnimask.report.drawing.panels import cut_panels, trim_margins, whole_drawing

    modality, raw, span = model.modalities[name], view.group.raw[name], view.layout.span(name)
    masks = draw_visits(model, [view], progress=1.0, draws=1)[:1]
    heading = name if len(model.modalities) > 1 else ""
    roles = ["input", MASK, *([REBUILT] if filled.restored else []), FEATURES, RANDOM]

    def section(roles: Sequence[str], *samples: tuple["Pixels", ...]) -> Section:
        line = Line(label="", samples=samples)
        return Section(heading=heading, details=(), roles=tuple(roles), lines=(line,))

    rows = []
    for index in range(len(view.group)):
        titles = ("input", FEATURES, RANDOM)
        painted = paint(modality, raw, Painted(titles=titles, colors=colors[index]), index=index)
        drawing = modality.draw(raw, visible=filled.visible, filled=filled.values, index=index)
        seen = mask_pictures(model, view, span, masks, index=index)
        if seen.squares:
            drawn = [drawing.figure] if filled.restored else []
            return [section([""], (whole_drawing(figure),)) for figure in (*drawn, painted)]
        parts, rebuilt = list(seen.pictures), cut_panels(drawing.figure)
        if filled.restored and rebuilt is not None:
            parts.append(rebuilt.pictures[2])
        if not seen.framed:
            parts = trim_margins(parts)
        cut = cut_panels(painted)
        assert cut is not None, "easels have panels that can be cut out"
        rows.append((*parts, *(_like(part, parts[0]) for part in cut.pictures[1:])))
    return [section(roles, *rows)]


def _like(picture: "Pixels", other: "Pixels") -> "Pixels":
    """With white margins that give it the proportions of the other."""
    import numpy as np

    height, width = picture.shape[:2]
    wanted = other.shape[1] / other.shape[0]
    size = max(height, round(width / wanted)), max(width, round(height * wanted))
    page = np.full((*size, 3), 255, dtype=np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    page[top : top + height, left : left + width] = picture
    return page


def small_webp(image: "Image", most_bytes: int = MOST_BYTES) -> bytes:
    """At most `most_bytes`: of as good a quality as that allows, then with fewer pixels."""
    for shrink in (1.0, 0.85, 0.7, 0.5):
        size = (round(image.width * shrink), round(image.height * shrink))
        smaller = image if shrink == 1.0 else image.resize(size)
        for quality in (88, 75, 60):
            file = io.BytesIO()
            smaller.save(file, format="WEBP", quality=quality, method=6)
            if file.tell() <= most_bytes:
                return file.getvalue()
    raise RecipeError(
        f"a picture of {image.width} x {image.height} pixels takes more than {most_bytes} bytes "
        "at any quality; draw fewer samples"
    )


def table(out: Path, page: Path, families: dict[str, str]) -> str:
    """Markdown: under each family its methods with their pictures, paths as the page needs them;
    and which have none.
    """
    parts = []
    for title in FAMILIES:
        names = [name for name, found in families.items() if found == title]
        shown = [name for name in names if pictures_of(out, name)]
        if shown:
            rows = "\n".join(_row(pictures_of(out, name), page, name) for name in shown)
            parts.append(f"### {title}\n\n| method | picture |\n|---|---|\n{rows}")
    missing = [f"`{name}`" for name in families if not pictures_of(out, name)]
    if missing:
        parts.append(f"Not drawn yet: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _row(paths: Sequence[Path], page: Path, method: str) -> str:
    shown = [
        f"![{PICTURED.format(method) if path.suffix == '.webp' else path.stem.replace('_', ': ')}]"
        f"({Path(os.path.relpath(path, page.parent)).as_posix()})"
        for path in paths
    ]
    return f"| `{method}` | {' '.join(shown)} |"


def insert(page: Path, body: str) -> None:
    """Replaces what stands between the page's two marks; RecipeError where they are missing."""
    text = page.read_text()
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise RecipeError(f"{page} needs one line {START} and below it one line {END}")
    head, _, rest = text.partition(START)
    page.write_text(f"{head}{START}\n\n{body}\n\n{END}{rest.partition(END)[2]}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the pictures, such as docs/methods")
    parser.add_argument("--methods", nargs="*", default=None, help="names of recipes/*.py")
    parser.add_argument("--runs", type=Path, default=Path("runs/gallery"), help="kept runs")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each method's training")
    parser.add_argument("--again", action="store_true", help="also those that have a picture")
    parser.add_argument("--page", type=Path, default=Path("docs/methods.md"))
    options = parser.parse_args(arguments)
    try:
        _make(options)
    except OmnimaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> None:
    known = methods()
    for method in options.methods or ():
        if method not in known:
            raise RecipeError(f"no method {method!r}; {nearest_names(method, known)}")
    wanted = [n for n in known if options.again or not picture_path(options.out, n).exists()]
    chosen = wanted if options.methods is None else options.methods
    for method in teachers_first(chosen):
        recipe = small_recipe_of(method)
        run = train_small(method, recipe, options.runs, steps=options.steps)
        if method in chosen:
            print(draw_method(method, run, options.out), flush=True)
        # After each, so that a gallery that was stopped is whole as far as it goes.
        families = {name: family(small_recipe_of(name)) for name in known}
        insert(options.page, table(options.out, options.page, families))


if __name__ == "__main__":
    sys.exit(main())
