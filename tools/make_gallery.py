"""Draws what the masks of every method look like, for docs/methods.md.

    python tools/make_gallery.py docs/methods
    python tools/make_gallery.py docs/methods --methods mae capi --runs runs/methods

Writes one small picture per method, of its `cpu` recipe, and a table of them between the marks
`<!-- gallery -->` and `<!-- /gallery -->` of the page. With `--runs`, methods that have a run in
that folder (as tools/bench_methods.py or `omnimask pretrain` leave them) get a picture of what it
reconstructs. With `--methods`, the other rows of the table are those whose pictures are there.
Needs `data/sample`.
"""

import argparse
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.foundation.errors import OmnimaskError, RecipeError, nearest_names
from omnimask.recipe.recipe import Recipe
from omnimask.training.checkpoint import list_checkpoints

if TYPE_CHECKING:
    from PIL.Image import Image

    from omnimask.report.drawing.sheet import Sheet

START, END = "<!-- gallery -->", "<!-- /gallery -->"
MOST_BYTES = 60_000  # of a picture in a repository
WIDTH = 700


def methods() -> dict[str, str]:
    """By method, its `cpu` recipe as the command line names it; from the recipes' sources."""
    from omnimask.recipe.catalogue import find_recipes

    names = [entry.reference for entry in find_recipes()]
    return {
        name.removeprefix("recipes.").removesuffix(":cpu"): name
        for name in names
        if name.endswith(":cpu")
    }


def draw_method(method: str, recipe: Recipe, out: Path, *, runs: Path | None = None) -> None:
    """Writes the method's pictures; none of its masks where it hides nothing."""
    from omnimask.masking import ShowAll
    from omnimask.report.drawing.masks import draw_masks, hint_note, mask_model
    from omnimask.report.drawing.reconstructions import draw_reconstructions
    from omnimask.transfer.loading import load_model

    out.mkdir(parents=True, exist_ok=True)
    if isinstance(recipe.masker, ShowAll):
        return
    run = find_run(runs, method, recipe) if runs else None
    trained = load_model(run) if run else None
    model = trained or mask_model(recipe)
    sheet = draw_masks(model, samples=2, draws=3)
    if any(len(section.lines) > 1 for section in sheet.sections):  # several maps, or stages
        sheet = draw_masks(model, samples=1, draws=3)
    if trained is None:
        sheet = replace(sheet, note=hint_note(recipe))
    picture_path(out, method, "masks").write_bytes(small_png(_painted(sheet)))
    if trained is not None:
        sheet = draw_reconstructions(trained, samples=2)
        if any(section.lines for section in sheet.sections):
            path = picture_path(out, method, "reconstructions")
            path.write_bytes(small_png(_painted(sheet)))


def picture_path(out: Path, method: str, kind: str) -> Path:
    return out / f"{method}_{kind}.png"


def find_run(runs: Path, method: str, recipe: Recipe) -> Path | None:
    """The run of a method's recipe: named as the recipe is, or as the benchmark names it."""
    stream = recipe.data.streams[0].name
    candidates = (runs / recipe.name, runs / stream / method / "seed-0")
    return next((run for run in candidates if list_checkpoints(run)), None)


def _painted(sheet: "Sheet") -> "Image":
    """Without what the table says: the title, and the heading of a single stream."""
    from omnimask.report.drawing.sheet import paint

    sections = sheet.sections
    if len(sections) == 1:
        sections = (replace(sections[0], heading=""),)
    return paint(replace(sheet, title="", sections=sections), width=WIDTH)


def small_png(image: "Image", most_bytes: int = MOST_BYTES) -> bytes:
    """At most `most_bytes`: as many colours of a palette as that allows, then fewer pixels."""
    for shrink in (1.0, 0.85, 0.7, 0.5):
        size = (round(image.width * shrink), round(image.height * shrink))
        for colors in (256, 128, 64, 32):
            file = io.BytesIO()
            smaller = image if shrink == 1.0 else image.resize(size)
            smaller.quantize(colors).save(file, format="PNG", optimize=True)
            if file.tell() <= most_bytes:
                return file.getvalue()
    raise RecipeError(
        f"a picture of {image.width} x {image.height} pixels takes more than {most_bytes} bytes "
        "however few its colours; draw fewer samples"
    )


def table(out: Path, page: Path, names: list[str]) -> str:
    """Markdown, a row for each method that has a picture, with paths as the page needs them."""
    kinds = [
        kind
        for kind in ("masks", "reconstructions")
        if any(picture_path(out, method, kind).exists() for method in names)
    ]
    lines = [f"| method | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for method in names:
        if picture_path(out, method, "masks").exists():
            cells = [_cell(picture_path(out, method, kind), page, method) for kind in kinds]
            lines.append(f"| `{method}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(path: Path, page: Path, method: str) -> str:
    if not path.exists():
        return ""  # no run, or latent targets
    relative = Path(os.path.relpath(path, page.parent)).as_posix()
    return f"![{path.stem.removeprefix(f'{method}_')} of {method}]({relative})"


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
    parser.add_argument("--runs", type=Path, default=None, help="folder of the methods' runs")
    parser.add_argument("--page", type=Path, default=Path("docs/methods.md"))
    options = parser.parse_args(arguments)
    try:
        _make(options)
    except OmnimaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> None:
    from omnimask.recipe.loading import load_named_recipe

    known = methods()
    for method in known if options.methods is None else options.methods:
        if method not in known:
            raise RecipeError(f"no method {method!r}; {nearest_names(method, known)}")
        draw_method(method, load_named_recipe(known[method]), options.out, runs=options.runs)
        print(method, flush=True)
    insert(options.page, table(options.out, options.page, list(known)))


if __name__ == "__main__":
    sys.exit(main())
