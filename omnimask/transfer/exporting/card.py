"""The model card: `README.md` beside an export."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.foundation.versions import installed_version, versions
from omnimask.recipe.recipe import Recipe
from omnimask.transfer.exporting.features import Parity
from omnimask.transfer.exporting.loading import how_to_load
from omnimask.transfer.pretrained_encoder import EncoderInfo

_ALSO = ("transformers", "onnx", "onnxruntime", "onnxscript")
# Of those that https://huggingface.co/docs/hub/repositories-licenses lists, the usual ones.
_LICENCES = (
    *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-3.0"),
    *("cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1"),
    *("lgpl-3.0", "agpl-3.0", "mpl-2.0", "openrail", "unlicense", "unknown", "other"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a card says; `info` has the exported modalities only. `recipe` and `run` are None for an
    encoder that comes from no run.
    """

    format: str
    info: EncoderInfo
    hash: str
    num_parameters: int
    parity: tuple[Parity, ...]
    licence: str
    recipe: Recipe | None
    run: Path | None


def write_card(card: Card, folder: Path, out: Path) -> None:
    """`README.md` in `folder`, whose commands name `out`."""
    load = how_to_load(card.format, card.info.modalities[0], out, folder)
    parts = [
        _head(card),
        f"# {card.info.name}: an encoder exported by omnimask\n",
        _facts(card),
        f"## Load\n\n```python\n{load}```\n",
        _recipe(card),
        _data(card),
        _metrics(card),
        _parity(card),
        _versions(),
        f"## Licence\n\n{card.licence}. Weights may also be bound by the terms of the data that "
        "they were trained on.\n",
    ]
    (folder / "README.md").write_text("\n".join(part for part in parts if part))


def _head(card: Card) -> str:
    """The block that model hubs read."""
    library = {"timm": "timm", "transformers": "transformers", "onnx": "onnx"}
    return (
        f"---\nlicense: {_licence_of_hubs(card.licence)}\n"
        f"library_name: {library.get(card.format, 'omnimask')}\n"
        f"tags: [{', '.join(['omnimask', *(m.name for m in card.info.modalities)])}]\n---\n"
    )


def _licence_of_hubs(licence: str) -> str:
    """The word for it that the hub accepts, which refuses a card with another."""
    word = licence.strip().lower().replace(" ", "-")
    return {"not-stated": "unknown"}.get(word, word if word in _LICENCES else "other")


def _facts(card: Card) -> str:
    config = card.info.encoder
    prefix = [name for name, there in (("[CLS]", config.class_token),) if there]
    if config.num_registers:
        prefix.append(f"{config.num_registers} registers")
    rows = {
        "format": card.format,
        "modalities": ", ".join(m.name for m in card.info.modalities),
        "encoder": f"{config.depth} blocks, width {config.width}, {config.num_heads} heads, "
        f"{config.positions} positions, {' and '.join(prefix) or 'no prefix tokens'}",
        "parameters": f"{card.num_parameters:,}",
        "hash of the encoder": card.hash,
        **card.info.origin,
    }
    return _table(("", ""), [(key, str(value)) for key, value in rows.items()])


def _recipe(card: Card) -> str:
    recipe = card.recipe
    if recipe is None:
        return ""
    optim = recipe.optim
    objectives = [
        (o.name, o.modality, type(o.target).__name__, getattr(o.loss, "__name__", str(o.loss)))
        for o in recipe.objectives
    ]
    return (
        f"## Recipe\n\n`{recipe.name}`, seed {recipe.seed}, planned for {optim.steps} steps at a "
        f"peak learning rate of {optim.lr:g}; masks from a {type(recipe.masker).__name__}.\n\n"
        + _table(("objective", "modality", "target", "loss"), objectives)
    )


def _data(card: Card) -> str:
    if card.recipe is None:
        return ""
    rows = [
        (stream.name, name, _place(files), _place((stream.held_out or {}).get(name)))
        for stream in card.recipe.data.streams
        for name, files in stream.files.items()
    ]
    # The folder's name alone: cards are published, and where it lay is nobody's business.
    return f"## Data\n\nBelow `{Path(card.recipe.data.root).name or '.'}`:\n\n" + _table(
        ("stream", "modality", "trained on", "held out"), rows
    )


def _place(files: object) -> str:
    return "none" if files is None else str(getattr(files, "path", files))


def _metrics(card: Card) -> str:
    """Of the run's report, or the last line of its log where there is no report."""
    if card.run is None:
        return ""
    results, log = card.run / "results.json", card.run / "metrics.jsonl"
    if results.exists():
        return _reported(json.loads(results.read_text()))
    if log.exists():
        last = json.loads(log.read_text().strip().splitlines()[-1])
        kept = ("step", "loss", "grad_norm", "lr")
        numbers = [
            (key, _number(value))
            for key, value in last.items()
            if isinstance(value, int | float) and key.partition("/")[0] in kept
        ]
        return "## Metrics\n\nThe last step in `metrics.jsonl`:\n\n" + _table(("", ""), numbers)
    return ""


def _reported(results: Mapping[str, Any]) -> str:
    losses = [
        (str(x["stream"]), str(x["objective"]), _number(x["model"]), _number(x["constant"]))
        for x in results["held_out_losses"]
    ]
    text = "## Metrics\n\nHeld-out losses after the run's report:\n\n"
    text += _table(("stream", "objective", "model", "best constants"), losses)
    scores = [
        {k: v for k, v in score.items() if not isinstance(v, list)} for score in results["knn"]
    ]
    if scores:
        rows = [tuple(_number(v) for v in score.values()) for score in scores]
        text += "\nkNN on held-out samples:\n\n" + _table(tuple(scores[0]), rows)
    return text


def _parity(card: Card) -> str:
    rows = [
        (p.modality, f"{p.largest:.1e}", f"{p.tolerance:.0e}", str(p.samples), p.origin)
        for p in card.parity
    ]
    header = ("modality", "largest difference", "allowed", "samples", "from")
    return (
        "## Parity\n\nFeatures of real samples, the exported model's beside the encoder's; as a "
        "share of the largest feature where that is above 1.\n\n" + _table(header, rows)
    )


def _versions() -> str:
    found = {**versions(), **{name: installed_version(name) for name in _ALSO}}
    rows = [(name, version) for name, version in found.items() if version is not None]
    return "## Versions\n\nThe export was made with:\n\n" + _table(("", ""), rows)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"
