"""From a run folder to its report."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from omnimask.data.samples import Unreadable, read_batches, spread
from omnimask.data.streams import StreamReader, open_held_out, open_streams
from omnimask.foundation.hardware import hardware
from omnimask.foundation.json_lines import read_lines
from omnimask.network.encoder import Backbone
from omnimask.recipe.recipe import Recipe
from omnimask.report.across import across_sheet, seen
from omnimask.report.drawing.sheet import Sheet
from omnimask.report.evaluate import Evaluated, evaluate_stream, untrained_backbones
from omnimask.report.history import drop_repeated, trained_seconds
from omnimask.report.map import HeldOutMap, held_out_map
from omnimask.report.overview import overview_picture
from omnimask.report.page import report_page
from omnimask.report.pictures import Gallery, draw_group, paint_group
from omnimask.report.results import Results
from omnimask.report.scores import StreamScore, score_columns, score_stream
from omnimask.tokens.tokens import Group
from omnimask.training.bad_files import BAD_FILES
from omnimask.training.checkpoint import last_checkpoint, load_checkpoint, write_json
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.probing.columns import ColumnScores
from omnimask.transfer.searching.across import retrieve_across

_MOST_PAINTED = 3  # samples of a stream


def write_report(run: Path) -> Path:
    """Writes `run/report/` from the last checkpoint and returns the path of its `index.html`.

    Beside it: `results.json` with every number, `reconstructions.png`. RecipeError where the run
    has no checkpoint; DataError where its data cannot be found.
    """
    folder = last_checkpoint(run)
    checkpoint = load_checkpoint(folder)
    recipe = checkpoint.recipe
    model = build_model(recipe)
    model.load_state_dict(checkpoint.weights)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    train, held_out = open_streams(recipe), {r.stream.name: r for r in open_held_out(recipe)}
    unreadable = Unreadable()
    shown = [held_out.get(reader.stream.name, reader) for reader in train]
    galleries = [gallery for reader in shown for gallery in _draw(model, reader, unreadable)]
    untrained = untrained_backbones(recipe)
    paintings = [
        gallery for reader in shown for gallery in _paint(model, untrained[0], reader, unreadable)
    ]
    evaluated = _evaluate(model, train, held_out, untrained, unreadable)
    lines = drop_repeated(read_lines(run / "metrics.jsonl"))
    scores, left_out = _score(recipe, evaluated)
    features = [part.features for part in evaluated.values() if part.features is not None]
    alone = [part for part in features if len(held_out[part.stream].modalities) == 1]
    ways = retrieve_across([seen(part) for part in alone])
    finished = datetime.fromtimestamp((folder / "state.json").stat().st_mtime, tz=UTC)
    results = Results(
        recipe=recipe,
        steps_done=int(checkpoint.state["step"]),
        finished=finished.strftime("%Y-%m-%d %H:%M UTC"),
        seconds=trained_seconds(lines),
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        encoder_parameters=sum(p.numel() for p in model.backbone.parameters()),
        lines=tuple(lines),
        losses=tuple(loss for part in evaluated.values() for loss in part.losses),
        columns=tuple(_score_columns(evaluated)),
        scores=tuple(scores),
        across=tuple(ways),
        left_out=tuple(left_out),
        bad_files=tuple(read_lines(run / BAD_FILES)),
        skipped_steps=tuple(read_lines(run / "skipped_steps.jsonl")),
        unreadable=unreadable.errors,
        versions=checkpoint.state["versions"],
        hardware=hardware(),
        trained_on=checkpoint.state.get("hardware", {}),
    )
    vectors = [part.vectors for part in evaluated.values() if part.vectors is not None]
    sheet = across_sheet(ways, alone, held_out)
    return _write(run / "report", results, galleries, paintings, held_out_map(vectors), sheet)


def _write(
    folder: Path,
    results: Results,
    galleries: list[Gallery],
    paintings: list[Gallery],
    drawn_map: HeldOutMap,
    across: Sheet | None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", results.to_json())
    (folder / "reconstructions.png").write_bytes(overview_picture(galleries))
    page = folder / "index.html"
    text = report_page(results, galleries, drawn_map, paintings=paintings, across=across)
    page.write_text(text, encoding="utf-8")
    return page


def _draw(model: MaskedModel, reader: StreamReader, unreadable: Unreadable) -> list[Gallery]:
    """Pictures of samples spread over the whole stream, which is sorted by class."""
    groups = _groups(model, reader, model.recipe.run.report_samples, unreadable)
    return _joined(gallery for group in groups for gallery in draw_group(model, group))


def _paint(
    model: MaskedModel, untrained: Backbone, reader: StreamReader, unreadable: Unreadable
) -> list[Gallery]:
    """What the encoder makes of the first few of the same."""
    count = min(model.recipe.run.report_samples, _MOST_PAINTED)
    groups = _groups(model, reader, count, unreadable)
    return _joined(g for group in groups for g in paint_group(model, untrained, group))


def _groups(
    model: MaskedModel, reader: StreamReader, count: int, unreadable: Unreadable
) -> list[Group]:
    device = next(model.parameters()).device
    indices = spread(len(reader), count)
    return [b.group for b in read_batches(reader, indices, unreadable, device=device)]


def _joined(galleries: Iterable[Gallery]) -> list[Gallery]:
    """Those of one modality as one."""
    found: dict[str, Gallery] = {}
    for gallery in galleries:
        before = found.get(gallery.modality)
        pictures = (*(before.pictures if before else ()), *gallery.pictures)
        found[gallery.modality] = replace(gallery, pictures=pictures)
    return list(found.values())


def _evaluate(
    model: MaskedModel,
    train: list[StreamReader],
    held_out: dict[str, StreamReader],
    untrained: list[Backbone],
    unreadable: Unreadable,
) -> dict[str, Evaluated]:
    """By stream, for the streams that have held-out files."""
    return {
        reader.stream.name: evaluate_stream(
            model,
            reader,
            held_out[reader.stream.name],
            untrained=untrained,
            unreadable=unreadable,
        )
        for reader in train
        if reader.stream.name in held_out
    }


def _score_columns(evaluated: dict[str, Evaluated]) -> list[ColumnScores]:
    found = [score_columns(p.features) for p in evaluated.values() if p.features is not None]
    return [scores for scores in found if scores is not None]


def _score(recipe: Recipe, evaluated: dict[str, Evaluated]) -> tuple[list[StreamScore], list[str]]:
    """kNN scores, and why the other streams have none."""
    scores, left_out = [], []
    for stream in recipe.data.streams:
        part = evaluated.get(stream.name)
        if part is None:
            left_out.append(f"{stream.name}: the recipe names no held-out files.")
        elif part.features is None:
            left_out.append(f"{stream.name}: no labels, so nothing to ask its features.")
        else:
            found = score_stream(part.features)
            scores.extend(found)
            if not found:
                left_out.append(
                    f"{stream.name}: training and held-out samples share no kind of label."
                )
    return scores, left_out
