"""The report as one HTML page that opens without a network."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO

from omnimask.recipe.recipe import Recipe
from omnimask.report.curves import training_curves
from omnimask.report.drawing.features import EXPLAINED
from omnimask.report.drawing.sheet import Sheet, paint
from omnimask.report.html import (
    Html,
    captioned,
    element,
    folded,
    folded_recipe,
    joined,
    page,
    paragraphs,
    picture,
    plotly_script,
    section,
    styled,
    table,
)
from omnimask.report.map import HeldOutMap
from omnimask.report.pictures import Gallery, Picture
from omnimask.report.results import Results
from omnimask.report.tables import knowledge_table, loss_table, retrieval_table, score_table
from omnimask.report.turning import TURNING_CSS, TURNING_SCRIPT, has_turning

_THREE_PARTS = "original, visible part and reconstruction"
_PAINTED_PARTS = "input, features, likeness to three tokens and attention"
_RECONSTRUCTED = (
    "Left the whole sample, then what the encoder saw (what was hidden is grey), then what it saw "
    "together with what was predicted for the rest, under the recipe's own mask."
)

# Scripts inside a template run when its content is put into the page; removing it frees the GPU.
_OPEN_SCENES = """
document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.classList.contains("interactive")) return;
  const shown = details.querySelector(".scene");
  if (shown) {
    shown.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.purge(plot));
    shown.remove();
  }
  if (!details.open) return;
  const scene = document.createElement("div");
  scene.className = "scene";
  details.append(scene);
  scene.append(document.importNode(details.querySelector("template").content, true));
}, true);
"""


def report_page(
    results: Results,
    galleries: Sequence[Gallery],
    drawn_map: HeldOutMap,
    *,
    paintings: Sequence[Gallery] = (),
    across: Sheet | None = None,
) -> str:
    """The whole page, with plotly.js and the script of turning clouds only if something needs them.

    `paintings` show what the encoder makes of tokens (`drawing/features.py`), `across` what
    streams find of each other.
    """
    pictures = [p for gallery in galleries for p in gallery.pictures]
    needs_plotly = drawn_map.needs_plotly or any(p.needs_plotly for p in pictures)
    turns = any(has_turning(p.html) for p in pictures)
    return page(
        f"{results.recipe.name}: report",
        _header(results),
        section("Results on held-out files", *_results(results), anchor="results"),
        *([_across(results, across)] if across is not None else []),
        section(
            "Reconstructions",
            paragraphs([_budget(results), _RECONSTRUCTED]),
            *_galleries(results.recipe, galleries, what=_THREE_PARTS),
            anchor="reconstructions",
        ),
        section(
            "What the encoder makes of tokens",
            paragraphs([_budget(results), EXPLAINED]),
            *_galleries(results.recipe, paintings, what=_PAINTED_PARTS),
            anchor="features",
        ),
        section("Map of held-out samples", drawn_map.html, anchor="map"),
        section("Training", *_training(results), anchor="training"),
        section("Run", *_run(results), anchor="run"),
        scripts=joined(*([_scenes()] if needs_plotly else []), *([_turning()] if turns else [])),
    )


def _scenes() -> Html:
    return joined(plotly_script(), element("script", Html(_OPEN_SCENES)))


def _turning() -> Html:
    return joined(element("style", Html(TURNING_CSS)), element("script", Html(TURNING_SCRIPT)))


def _budget(results: Results) -> str:
    """How much training the pictures show the outcome of."""
    done, asked = results.steps_done, results.recipe.optim.steps
    samples = sum(stream.batch_size for stream in results.recipe.data.streams)
    steps = f"{done:,}" if done == asked else f"{done:,} of {asked:,}"
    return (
        f"After {steps} steps, each of {samples * results.recipe.optim.accumulate:,} samples. "
        "Those shown are spread evenly over the files; none was chosen by its look."
    )


def _header(results: Results) -> Html:
    steps, asked = results.steps_done, results.recipe.optim.steps
    speed = [line["tokens_per_s"] for line in results.lines[-20:]]
    modalities = ", ".join(modality.name for modality in results.recipe.modalities)
    facts = {
        "steps" if steps == asked else f"of {asked:,} steps": f"{steps:,}",
        "trained parameters": _millions(results.trained_parameters),
        "of them in the encoder": _millions(results.encoder_parameters),
        "training time": _duration(results.seconds),
        "tokens per second": f"{sum(speed) / len(speed):,.0f}" if speed else "–",
    }
    links = {
        "results": "Results",
        "reconstructions": "Reconstructions",
        "features": "Features",
        "map": "Map",
        "training": "Training",
        "run": "Run",
    }
    if results.across:
        links = {"results": "Results", "across": "Across streams", **links}
    return element(
        "header",
        element("h1", results.recipe.name),
        element("p", f"Masked pretraining of one encoder on {modalities} · {results.finished}"),
        styled(
            "div",
            "facts",
            *(
                styled("div", "fact", styled("div", "value", value), styled("div", "what", what))
                for what, value in facts.items()
            ),
        ),
        element(
            "nav",
            *(
                element("a", text, attributes={"href": f"#{anchor}"})
                for anchor, text in links.items()
            ),
        ),
    )


def _results(results: Results) -> list[Html]:
    warnings = []
    if results.unreadable:
        files = "; ".join(f"{name}: {error}" for name, error in results.unreadable.items())
        warnings.append(f"Left out of this report, because they could not be read: {files}")
    return [
        paragraphs(warnings, css_class="warning"),
        element("h3", "What the frozen encoder knows"),
        knowledge_table(results.columns),
        paragraphs(results.left_out),
        folded("Nearest neighbours of frozen features", score_table(results.scores)),
        element("h3", "Loss"),
        loss_table(results.losses),
    ]


def _across(results: Results, sheet: Sheet) -> Html:
    buffer = BytesIO()
    paint(sheet).save(buffer, format="PNG", optimize=True)
    drawn = picture(buffer.getvalue(), media_type="image/png", alt="queries and what they find")
    return section(
        "Found across streams",
        retrieval_table(results.across),
        styled("div", "gallery", captioned("Queries spread over the held-out samples.", drawn)),
        anchor="across",
    )


def _galleries(recipe: Recipe, galleries: Sequence[Gallery], *, what: str) -> list[Html]:
    """`what` the pictures show is said to those who cannot see them."""
    streams = {stream.name: stream for stream in recipe.data.streams}
    found = []
    for gallery in galleries:
        paired = len(streams[gallery.stream].files) > 1
        title = f"{gallery.modality} in {gallery.stream}" if paired else gallery.modality
        notes = list(gallery.notes)
        if streams[gallery.stream].held_out is None:
            notes.insert(0, "Training samples: the recipe names no held-out files for this stream.")
        shown = [_figure(f"{gallery.modality}: {what}", part) for part in gallery.pictures]
        grid = styled("div", "gallery", *shown)
        found.append(joined(element("h3", title), grid, paragraphs(notes)))
    return found


def _figure(alt: str, part: Picture) -> Html:
    return captioned(
        part.sample,
        picture(part.png, media_type="image/png", alt=alt),
        _turnable(part.html) if part.needs_plotly else Html(part.html),
    )


def _turnable(plot: str) -> Html:
    """A plotly scene that is made when it is opened: a browser can show only a few at a time."""
    return element(
        "details",
        element("summary", "turn it in 3D"),
        element("template", Html(plot)),
        attributes={"class": "interactive", "name": "interactive"},
    )


def _training(results: Results) -> list[Html]:
    titles = {o.name: f"{o.modality} · {o.name}" for o in results.recipe.objectives}
    said = ["Mean over the steps since the line before; horizontal: steps."]
    curves = training_curves(results.lines, titles, results.per_objective())
    return [*curves, paragraphs(said if results.lines else [])]


def _run(results: Results) -> list[Html]:
    machines = {"Trained on": results.trained_on, "This report was made on": results.hardware}
    parts = [
        paragraphs(
            [
                f"{what} {machine['cpu']}, {machine['threads']} threads, GPU: {machine['gpu']}, "
                f"{machine['system']}."
                for what, machine in machines.items()
                if machine
            ]
        ),
        table(["package", "version"], list(results.versions.items()), num_text=2),
        folded_recipe(results.recipe),
    ]
    if results.bad_files:
        parts.append(_entries("Files that could not be read in training", results.bad_files))
    if results.skipped_steps:
        parts.append(_entries("Skipped steps", results.skipped_steps))
    return parts


def _entries(title: str, entries: Sequence[Mapping[str, object]]) -> Html:
    lines = "\n".join(json.dumps(entry) for entry in entries)
    return folded(f"{title}: {len(entries)}", element("pre", lines))


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
