"""Draws the pictures of docs/transfer.md from one pretraining run on all six modalities.

    python tools/make_transfer_pictures.py runs/quickstart docs/transfer
    python tools/make_transfer_pictures.py runs/quickstart docs/transfer --only search map
    python tools/make_transfer_pictures.py RUN docs/transfer --only finetune_report --finetuned RUN

Writes search.png (nearest neighbours), map.png (all held-out sample files), completions.png (hidden
parts restored) and finetune_report.png (mistakes of a fine-tuned encoder, trained here unless
`--finetuned` names a run of recipes.finetune:image). Needs `data/sample`; paths in the pictures
begin there.
"""

import argparse
import base64
import html
import io
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from omnimask.foundation.errors import DataError, OmnimaskError, RecipeError
from omnimask.report.drawing.grid import Line, Section
from omnimask.report.drawing.sheet import Sheet, paint
from recipes.sample_modalities import mixed_modalities

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from omnimask.report.drawing.panels import Pixels
    from omnimask.training.step import MaskedModel

MOST_BYTES = 290_000  # of a picture in a repository
SAMPLES = Path("data/sample")
FOLDERS = {name: record.folder for name, record in mixed_modalities().items()}
QUERIES = (
    "images/held_out/photo-coffee/*",
    "images/held_out/digit-3/*",
    "audio/held_out/bell/*",
    "points/held_out/chair/*",
    "voxels/held_out/forest/*",
)
# What is hidden of a sample, as ranges of its tokens' places, from 0 to 1 in each of the axes.
HIDDEN = {
    "image": ("digit-3", "a box in its middle", ((0.3, 0.7), (0.3, 0.7))),
    "video": ("clockwise", "a box, all the time", ((0.0, 1.0), (0.3, 0.7), (0.3, 0.7))),
    "audio": ("organ", "a third of the time", ((0.35, 0.65), (0.0, 1.0))),
    "points": ("chair", "all on one side", ((0.6, 1.0), (0.0, 1.0), (0.0, 1.0))),
}


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


def embedded(run: Path, out: Path) -> Path:
    """Vectors of all held-out sample files, each folder read as its modality."""
    from omnimask.transfer.embedding import EmbedOptions, embed

    for modality, folder in FOLDERS.items():
        options = EmbedOptions(modality=(modality,))
        embed(run, [SAMPLES / folder / "held_out"], out, options=options)
    return out


def search_picture(run: Path, features: Path) -> Sheet:
    """The first file of each query's folder and its nearest neighbours of the same modality."""
    from omnimask.report.search_sheet import search_sheet
    from omnimask.transfer.searching.features import open_features
    from omnimask.transfer.searching.neighbours import SearchOptions, Seeker, nearest

    seeker = Seeker(open_features(features), run, modality=(".npy=points",))
    queries = [seeker.seek(str(_first(pattern))) for pattern in QUERIES]
    found = nearest(seeker.table, queries, SearchOptions(k=5, within=True, whiten=True))
    assert seeker.embedder is not None
    sheet = search_sheet(seeker.embedder, queries, found)
    # The paths of the neighbours say little that their pictures do not.
    sections = tuple(
        replace(
            section,
            details=(),
            roles=("query", *(f"{hit.label} {hit.similarity:.2f}" for hit in hits)),
        )
        for section, hits in zip(sheet.sections, found, strict=True)
    )
    return replace(sheet, sections=sections, title="")


def _first(pattern: str) -> Path:
    found = sorted(SAMPLES.glob(pattern))
    if not found:
        raise DataError(f"there is no {SAMPLES / pattern}; make it with omnimask sample-data")
    return found[0]


def completions_picture(run: Path) -> Sheet:
    """What `omnimask impute` predicts of hidden parts, one sample of each modality."""
    from omnimask.transfer.loading import load_model

    model = load_model(run).eval()
    return Sheet(title="", sections=tuple(_completion(model, name) for name in HIDDEN))


def _completion(model: "MaskedModel", name: str) -> Section:
    from omnimask.data.streams import open_held_out
    from omnimask.report.drawing.panels import cut_panels, trim_margins
    from omnimask.transfer.imputing import restore_hidden

    wanted, said, ranges = HIDDEN[name]
    readers = [r for r in open_held_out(model.recipe) if list(r.modalities) == [name]]
    index, reader = next(
        (i, r) for r in readers for i in range(len(r)) if f"{wanted}-" in r.name(i)
    )
    modality, raw = model.modalities[name], reader.held_out_group([index]).raw[name]
    tokens = modality.split(raw)
    hidden = in_ranges(tokens.coords[0], ranges, tokens.valid[0])
    restored = restore_hidden(model, name, raw, hidden)
    drawing = modality.draw(
        raw, visible=restored.visible[None], filled=restored.values[None], index=0
    )
    cut = cut_panels(drawing.figure)
    assert cut is not None, "the modalities of HIDDEN draw panels"
    pictures = cut.pictures if cut.framed else tuple(trim_margins(cut.pictures))
    return Section(
        heading=f"{name}: {said}",
        details=(),
        roles=("original", "what the model sees", "completed"),
        lines=(Line(label="", samples=(tuple(pictures),)),),
    )


def in_ranges(coords: "Tensor", ranges: Sequence[tuple[float, float]], valid: "Tensor") -> "Tensor":
    """Which valid tokens lie in all of the ranges, from 0 to 1 of their coordinates' extent."""
    low, high = coords[valid].amin(dim=0), coords[valid].amax(dim=0)
    places = (coords - low) / (high - low).clamp_min(1e-6)
    bounds = coords.new_tensor(ranges)
    return valid & ((places >= bounds[:, 0]) & (places <= bounds[:, 1])).all(dim=1)


def finetune_picture(finetuned: Path) -> "Image":
    """The confusion matrix of a run's report, and beside it its worst mistakes, at most eight."""
    from PIL import Image

    from omnimask.report.drawing.panels import trim_margins

    page = (finetuned / "report" / "index.html").read_text()
    (matrix,) = _pictures(page, r'<img src="([^"]*)" alt="confusion matrix">()')
    mistakes = _pictures(page, r"<figure><img src=\"([^\"]*)\"[^>]*><figcaption>(.*?) · ")[:8]
    left = paint(_titled("Confusion matrix", [], []))
    right = paint(
        _titled(
            "Worst mistakes",
            [words.replace(", taken for ", " \N{RIGHTWARDS ARROW} ") for _, words in mistakes],
            [pixels for pixels, _ in mistakes],
        ),
        width=600,
    )
    (trimmed,) = trim_margins([matrix[0]])
    height = right.height - left.height - 16
    shown = Image.fromarray(trimmed)
    shown = shown.resize(
        (round(shown.width * height / shown.height), height), Image.Resampling.LANCZOS
    )
    both = Image.new("RGB", (shown.width + 16 + right.width, right.height), "white")
    both.paste(left, (0, 0))
    both.paste(shown, (16, left.height))
    both.paste(right, (shown.width + 16, 0))
    return both


def _titled(heading: str, words: Sequence[str], pictures: Sequence["Pixels"]) -> Sheet:
    """Two pictures in a row, each under its words."""
    sections = [
        Section(
            heading="",
            details=(),
            roles=tuple(words[first : first + 2]),
            lines=(Line(label="", samples=(tuple(pictures[first : first + 2]),)),),
            squares=True,
        )
        for first in range(0, len(pictures), 2)
    ]
    head = Section(heading=heading, details=(), roles=(), lines=())
    return Sheet(title="", sections=(head, *sections))


def _pictures(page: str, pattern: str) -> list[tuple["Pixels", str]]:
    from PIL import Image

    found = []
    for source, words in re.findall(pattern, page):
        data = base64.b64decode(source.partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        found.append((pixels, html.unescape(words)))
    return found


def _finetuned(run: Path, out: Path) -> Path:
    import recipes.finetune
    from omnimask.commands.finetune import finetune

    recipe = recipes.finetune.image()
    recipe = replace(recipe, run=replace(recipe.run, num_workers=0, tracker="none"))
    return finetune(recipe, out, encoder=run)


def _make(options: argparse.Namespace, scratch: Path) -> None:
    from PIL import Image

    from omnimask.foundation.packages import check_our_packages
    from omnimask.report.vector_map import write_map
    from omnimask.transfer.searching.features import open_features

    check_our_packages()
    options.out.mkdir(parents=True, exist_ok=True)
    features = scratch / "features.parquet"
    if {"search", "map"} & set(options.only):
        embedded(options.run, features)
    for name in options.only:
        if name == "map":
            picture = Image.open(write_map(open_features(features), scratch / "map.png"))
        elif name == "search":
            picture = paint(search_picture(options.run, features))
        elif name == "completions":
            picture = paint(completions_picture(options.run))
        else:
            finetuned = options.finetuned or _finetuned(options.run, scratch / "finetuned")
            picture = finetune_picture(finetuned)
        path = options.out / f"{name}.png"
        path.write_bytes(small_png(picture.convert("RGB")))
        print(f"{path}: {path.stat().st_size:,} bytes", flush=True)


def main(arguments: list[str] | None = None) -> int:
    names = ["search", "map", "completions", "finetune_report"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run of recipes.omni:quickstart")
    parser.add_argument("out", type=Path, help="folder of the pictures, such as docs/transfer")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--finetuned", type=Path, default=None, help="do not train, draw this run")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _make(options, Path(scratch))
    except OmnimaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
