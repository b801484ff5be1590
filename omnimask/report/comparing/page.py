"""Several runs as one HTML page that opens without a network."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from omnimask.foundation.errors import OmnimaskError
from omnimask.report.comparing.curves import overlaid_curves
from omnimask.report.comparing.differences import differing_fields
from omnimask.report.comparing.reconstructions import reconstructions_beside
from omnimask.report.comparing.runs import ComparedRun
from omnimask.report.comparing.tables import score_tables
from omnimask.report.drawing.sheet import paint
from omnimask.report.html import Html, element, page, paragraphs, picture, section, table
from omnimask.transfer.loading import load_model

_MOST_DRAWN = 6  # runs whose reconstructions are shown; a sheet has no room for more


def write_comparison(
    runs: Sequence[ComparedRun], out: Path, *, title: str, notes: Sequence[str] = ()
) -> Path:
    """Writes the page, and returns its path."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        page(
            title,
            element("header", element("h1", title), element("p", f"{len(runs)} runs")),
            paragraphs(notes, css_class="warning") if notes else Html(""),
            section("Recipes: fields that differ", _differences(runs)),
            section("Scores", score_tables(runs)),
            section("Training", _curves(runs)),
            section("Reconstructions of the same samples", *_reconstructions(runs)),
        ),
        encoding="utf-8",
    )
    return out


def _differences(runs: Sequence[ComparedRun]) -> Html:
    found = differing_fields([run.recipe for run in runs])
    if not found:
        return paragraphs(["None: the recipes are the same."])
    rows = [[path, *values] for path, values in found]
    return table(("field", *(run.name for run in runs)), rows)


def _curves(runs: Sequence[ComparedRun]) -> Html:
    if not any(run.lines for run in runs):
        return paragraphs(["No run has logged a step yet."])
    return picture(overlaid_curves(runs), media_type="image/svg+xml", alt="curves of all runs")


def _reconstructions(runs: Sequence[ComparedRun]) -> list[Html]:
    """Of the first run of each group."""
    firsts = list({run.group: run for run in reversed(runs)}.values())[::-1]
    models, notes = {}, []
    for run in firsts[:_MOST_DRAWN]:
        try:
            models[run.group] = load_model(run.folder)
        except OmnimaskError as error:  # not begun, fine-tuned, or parts that nobody trusts
            notes.append(f"{run.group}: {error}")
    if len(firsts) > _MOST_DRAWN:
        notes.append(f"Of the first {_MOST_DRAWN} of {len(firsts)}.")
    if not models:
        return [paragraphs(notes)]
    sheet = reconstructions_beside(models)
    notes += [sheet.note] if sheet.note else []
    if not sheet.sections:
        return [paragraphs(notes)]
    buffer = BytesIO()
    paint(sheet, width=1800).save(buffer, format="PNG", optimize=True)
    drawn = picture(buffer.getvalue(), media_type="image/png", alt="reconstructions of all runs")
    return [drawn, paragraphs(notes)]
