"""The page of `omnimask demo`, made with Gradio."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import OmnimaskError
from omnimask.foundation.optional import needs
from omnimask.report.demo.looking import Asked, Demo, Seen, words_of
from omnimask.report.html import plotly_script
from omnimask.report.turning import TURNING_CSS, TURNING_SCRIPT, has_turning

_AUTO = "by the file's suffix"
_HEIGHT = {True: 560, False: 260}  # of an interactive part, by whether it is a scene


def build_page(demo: Demo) -> Any:
    """A `gradio.Blocks`; over HTTP its one function is `/look`.

    RecipeError where Gradio is not installed.
    """
    needs("gradio", extra="demo", what="omnimask demo")
    import gradio

    recipe = demo.recipe
    names = [modality.name for modality in recipe.modalities]
    ratios = [ratio for name in names if (ratio := demo.ratio_of(name)) is not None]
    # Telemetry and fonts of others stay away: nothing leaves the machine.
    with gradio.Blocks(title=f"omnimask: {recipe.name}", analytics_enabled=False) as page:
        gradio.Markdown(f"# {recipe.name}\n{_reads(demo)}")
        with gradio.Row():
            with gradio.Column(scale=1, min_width=280):
                file = gradio.File(label="Drop a file")
                samples = [f"{stream} {index}" for stream, index in demo.own_samples]
                own = gradio.Dropdown(
                    samples, value=samples[0], label="or take a sample of the run"
                )
                modality = gradio.Dropdown(
                    [_AUTO, *demo.readings], value=_AUTO, label="Read the file as"
                )
                row = gradio.Number(0, precision=0, minimum=0, label="Row, of a table")
                by_recipe = gradio.Checkbox(
                    True, label="Hide as much as the recipe does", visible=bool(ratios)
                )
                ratio = gradio.Slider(
                    0.05,
                    0.95,
                    value=ratios[0] if ratios else 0.75,
                    step=0.05,
                    label="Share hidden, where the recipe's masks have one",
                    visible=bool(ratios),
                )
                seed = gradio.Number(0, precision=0, minimum=0, label="Mask number")
                button = gradio.Button("Look", variant="primary")
            with gradio.Column(scale=3):
                words = gradio.Markdown()
                pictures = gradio.Gallery(
                    label="Original, visible, reconstruction",
                    columns=3,
                    object_fit="contain",
                    height="auto",
                    format="png",
                )
                scene = gradio.HTML()
                neighbours = gradio.Gallery(
                    label="Nearest of the run's samples",
                    columns=5,
                    object_fit="contain",
                    height="auto",
                    format="png",
                )
        shown = [words, pictures, scene, neighbours]
        asked = [modality, row, by_recipe, ratio, seed]

        def look(path: str | None, sample: str | None, *said: Any) -> tuple[Any, ...]:
            try:
                if path is not None:
                    return _shown(demo.see(Path(path), _asked(*said)))
                if sample:
                    stream, _, index = sample.rpartition(" ")
                    return _shown(demo.see_own(stream, int(index), _asked(*said)))
            except OmnimaskError as error:
                raise gradio.Error(str(error), duration=None) from error
            raise gradio.Error("drop a file, or take a sample of the run")

        every = [file, own, *asked]
        button.click(look, every, shown, api_name="look")
        for changed in (by_recipe.input, ratio.release, seed.submit, row.submit):
            changed(look, every, shown, api_visibility="private")
        page.load(look, every, shown, api_visibility="private")  # a page that is not empty
        # A file takes the place of a sample, and a sample that of a file, before either is seen.
        for chosen, other in ((file.upload, own), (own.input, file)):
            chosen(lambda: None, None, other, api_visibility="private").then(
                look, every, shown, api_visibility="private"
            )
    return page


def serve(demo: Demo, *, host: str, port: int | None, wait: bool = True) -> str:
    """Starts the server, and returns its address, or never with `wait`."""
    from gradio.themes import Default

    page = build_page(demo)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=not wait,
        ssr_mode=False,
        theme=Default(font=["sans-serif"], font_mono=["monospace"]),
        footer_links=[],
    )
    return address


def _asked(modality: str, row: float, by_recipe: bool, ratio: float, seed: float) -> Asked:
    return Asked(
        modality=None if modality == _AUTO else modality,
        row=int(row or 0),
        ratio=None if by_recipe else float(ratio),
        seed=int(seed or 0),
    )


def _reads(demo: Demo) -> str:
    kinds = [f"{name} ({' '.join(part.suffixes)})" for name, part in demo.readings.items()]
    return f"Reads {'; '.join(kinds)}."


def _shown(seen: Sequence[Seen]) -> tuple[Any, ...]:
    pictures = [
        (picture, f"{part.modality}: {role}" if len(seen) > 1 else role)
        for part in seen
        for picture, role in part.panels
    ]
    near = [
        (hit.picture, f"{hit.similarity:.2f} {hit.label} {hit.name}".replace("  ", " "))
        for part in seen
        for hit in part.neighbours
    ]
    return words_of(seen), pictures, "".join(map(_framed, seen)), near


def _framed(seen: Seen) -> str:
    """The interactive part in a frame of its own, where its scripts run."""
    if not seen.html:
        return ""
    turns = has_turning(seen.html)
    script = plotly_script() if seen.needs_plotly else ""
    if turns:
        script += f"<style>{TURNING_CSS}</style><script>{TURNING_SCRIPT}</script>"
    inside = html.escape(f"<!doctype html><head>{script}</head><body>{seen.html}</body>")
    height = _HEIGHT[seen.needs_plotly or turns]
    return f'<iframe style="width:100%;height:{height}px;border:0" srcdoc="{inside}"></iframe>'
