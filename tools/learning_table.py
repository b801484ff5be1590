"""The results of `tools/bench_learning.py` as tables and curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnimask.sample_data.world.layout import SENSES

MIXED = "mixed"
CELLS = (MIXED, *SENSES)
ABLATIONS = {
    "shared-decoder": "one decoder for all senses",
    "equal-weights": "losses of all senses weighted alike",
}
"""The mixed encoder with one thing changed, by cell."""

Cells = Mapping[str, Sequence[Mapping[str, Any]]]
"""The results of every cell, by seed."""


def read_cells(out: Path) -> Cells:
    found = {
        cell: [json.loads(path.read_text()) for path in sorted((out / cell).glob("*/result.json"))]
        for cell in (*CELLS, *ABLATIONS)
    }
    return {cell: results for cell, results in found.items() if results}


def tables(cells: Cells) -> str:
    """Markdown: mean skill by sense, retrieval across senses, what was changed, every factor."""
    parts = [_of_senses(cells), *(_of_factors(cells, sense) for sense in _seen(cells))]
    if MIXED in cells and not ABLATIONS.keys().isdisjoint(cells):
        parts.insert(1, _of_ablations(cells))
    parts[1:1] = [_across(cells)] if any(r["across"] for r in cells.get(MIXED, ())) else []
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _seen(cells: Cells) -> list[str]:
    return [sense for sense in SENSES if _parts(cells, MIXED, sense) or _parts(cells, sense, sense)]


def _parts(cells: Cells, cell: str, sense: str) -> list[Mapping[str, Any]]:
    """What each seed of a cell says of a sense; nothing of one that it has not seen."""
    return [r["senses"][sense] for r in cells.get(cell, ()) if sense in r["senses"]]


def _of_senses(cells: Cells) -> list[str]:
    steps = next(iter(cells.values()))[0]["steps"]
    lines = [
        f"Mean skill over a sense's factors after {steps} steps; mean of the seeds ± deviation. "
        "*Above random*: of the mixed encoder or else the specialist, each seed with its 95 % "
        "interval.",
        "",
        "| sense | factors | train / held out | raw | random | mixed | specialist "
        "| mixed / specialist | above random |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for sense in _seen(cells):
        mixed, alone = _parts(cells, MIXED, sense), _parts(cells, sense, sense)
        either = mixed or alone
        means = [_skill(either, "raw"), _skill(either, "untrained")]
        means += [_skill(mixed, "trained"), _skill(alone, "trained")]
        sizes = f"{either[0]['num_train']} / {either[0]['num_test']}"
        above = "; ".join(_interval(part["ahead"]["untrained"]) for part in either)
        lines.append(
            f"| {sense} | {len(either[0]['scores'])} | {sizes} | {' | '.join(means)} "
            f"| {_ratio(mixed, alone)} | {above} |"
        )
    return lines


def _of_ablations(cells: Cells) -> list[str]:
    """Mean skill of every sense, with one thing changed; means of the seeds."""
    senses = _seen(cells)
    lines = [
        "### One thing changed",
        "",
        f"| mixed encoder | {' | '.join(senses)} |",
        f"|---{'|---' * len(senses)}|",
    ]
    for cell, words in {MIXED: "as the recipe is", **ABLATIONS}.items():
        if cell in cells:
            skills = [_skill(_parts(cells, cell, sense), "trained") for sense in senses]
            lines.append(f"| {words} | {' | '.join(skills)} |")
    return lines


def _across(cells: Cells) -> list[str]:
    """Recall@10 by query (rows) and answer (columns): raw, random, mixed, means of the seeds."""
    seeds = [{(way["query"], way["answer"]): way for way in r["across"]} for r in cells[MIXED]]
    senses = [sense for sense in SENSES if any(sense in way for way in seeds[0])]
    way = next(iter(seeds[0].values()))
    fewest, most = (f([w["num_test"] for w in seeds[0].values()]) for f in (min, max))
    lines = [
        "### Across senses",
        "",
        f"Recall@10 among {fewest} to {most} held-out scenes that both senses have seen (chance "
        f"{way['chance']['10']:.2f}), queries by row, answers by column: raw / random / **mixed**.",
        "",
        f"| query | {' | '.join(senses)} |",
        f"|---{'|---' * len(senses)}|",
    ]
    for query in senses:
        row = [_recalls([s[query, answer] for s in seeds]) for answer in senses if answer != query]
        row.insert(senses.index(query), "–")
        lines.append(f"| {query} | {' | '.join(row)} |")
    return lines


def _recalls(ways: Sequence[Mapping[str, Any]]) -> str:
    raw, random, mixed = (
        np.mean([way["recall"][space]["10"]["value"] for way in ways])
        for space in ("raw", "untrained", "trained")
    )
    return f"{raw:.2f} / {random:.2f} / **{mixed:.2f}**"


def _values(parts: Sequence[Mapping[str, Any]], space: str) -> list[float]:
    return [part["skill"][space]["value"] for part in parts]


def _skill(parts: Sequence[Mapping[str, Any]], space: str) -> str:
    values = _values(parts, space)
    if not values:
        return "–"
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.3f}"


def _ratio(mixed: Sequence[Mapping[str, Any]], alone: Sequence[Mapping[str, Any]]) -> str:
    """Of mean skills; none where the specialist knows next to nothing."""
    if not mixed or not alone:
        return "–"
    ours, theirs = (np.mean(_values(parts, "trained")) for parts in (mixed, alone))
    return f"{ours / theirs:.2f}" if theirs > 0.02 else "–"


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def _of_factors(cells: Cells, sense: str) -> list[str]:
    mixed, alone = _parts(cells, MIXED, sense), _parts(cells, sense, sense)
    either = mixed or alone
    lines = [
        f"### {sense}",
        "",
        "| factor | measure | chance | raw | random | mixed | specialist |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, score in enumerate(either[0]["scores"]):
        columns = [
            _score(parts, number, space)
            for parts, space in (
                *((either, "raw"), (either, "untrained")),
                *((mixed, "trained"), (alone, "trained")),
            )
        ]
        facts = (score["column"], score["measure"], f"{score['chance']:.2f}")
        lines.append(f"| {' | '.join((*facts, *columns))} |")
    return lines


def _score(parts: Sequence[Mapping[str, Any]], number: int, space: str) -> str:
    found = [part["scores"][number]["values"][space]["value"] for part in parts]
    return f"{np.mean(found):.2f}" if found else "–"


def draw_curves(cells: Cells, path: Path) -> None:
    """Mean skill over steps, a panel per sense: mixed, specialist, random and raw."""
    from matplotlib.figure import Figure

    senses = _seen(cells)
    rows = -(-len(senses) // 3)
    figure = Figure(figsize=(12, 3.2 * rows), layout="constrained")
    for number, sense in enumerate(senses, start=1):
        axes = figure.add_subplot(rows, min(len(senses), 3), number)
        mixed, alone = _parts(cells, MIXED, sense), _parts(cells, sense, sense)
        for label, parts, colour in (("mixed", mixed, "#2563eb"), ("specialist", alone, "#f59e0b")):
            for part in parts:
                steps = sorted(map(int, part["curve"]))
                skills = [part["curve"][str(step)]["value"] for step in steps]
                first = label if part is parts[0] else None  # one entry in the legend
                axes.plot(steps, skills, "o-", color=colour, label=first)
        for label, space, style in (("random", "untrained", "--"), ("raw", "raw", ":")):
            height = float(np.mean(_values(mixed or alone, space)))
            axes.axhline(height, color="#64748b", linestyle=style, label=label)
        axes.legend(frameon=False, fontsize=8)
        axes.set(title=sense, xlabel="steps", ylabel="mean skill")
    figure.savefig(path, dpi=110)
