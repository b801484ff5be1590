"""The results of `tools/bench_methods.py` as a table in a page."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnimask.foundation.hardware import hardware
from omnimask.foundation.versions import installed_version, versions

START, END = "<!-- results -->", "<!-- /results -->"


def results(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/*/seed-*/result.json"))]


def table(out: Path) -> str:
    """Markdown, one part per modality: methods by their linear accuracy."""
    found: dict[str, dict[str, list[dict]]] = {}
    for result in results(out):
        found.setdefault(result["modality"], {}).setdefault(result["method"], []).append(result)

    def spread(rows: Sequence[dict], key: str, digits: int) -> str:
        values = [row[key] for row in rows]
        mean = f"{np.mean(values):.{digits}f}"
        return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"

    lines = []
    for modality, methods in found.items():
        train, test = next(iter(methods.values()))[0]["samples"]
        lines += [
            f"### {modality} ({train} training, {test} held-out samples)",
            "",
            "| method | seeds | kNN | linear | steps | wall s | extra MB |",
            "|---|---|---|---|---|---|---|",
        ]
        order = sorted(methods, key=lambda m: -np.mean([r["linear"] for r in methods[m]]))
        for method in order:
            rows = methods[method]
            name = {"untrained": "*random initialisation*", "raw": "*raw inputs*"}.get(method)
            lines.append(
                f"| {name or method} | {len(rows)} | {spread(rows, 'knn', 3)} "
                f"| {spread(rows, 'linear', 3)} | {rows[0]['steps']} "
                f"| {spread(rows, 'wall_s', 0)} | {spread(rows, 'extra_mb', 0)} |"
            )
        lines.append("")
    return "\n".join(lines)


def write_table(out: Path, page: Path) -> None:
    """Puts the table of all results and where they were measured between the page's marks."""
    write_between(page, table(out), results(out))


def measured(*packages: str) -> dict[str, dict[str, str]]:
    """What a result stores beside its numbers: the machine and the versions of its making, also
    those of `packages`.
    """
    more = {package: installed_version(package) or "not installed" for package in packages}
    return {"hardware": hardware(), "versions": {**versions(), **more}}


def write_between(page: Path, body: str, measurements: Sequence[Mapping[str, Any]]) -> None:
    """Puts `body` between the page's marks, below a line that says where it was measured."""
    head, rest = page.read_text().split(START)
    _, tail = rest.split(END)
    page.write_text(f"{head}{START}\n\n{where_measured(measurements)}\n\n{body}\n{END}{tail}")


def where_measured(measurements: Sequence[Mapping[str, Any]]) -> str:
    """Every distinct machine with its versions, as the results have stored them."""
    counts = Counter(_machine(result) for result in measurements)
    if len(counts) == 1:
        return f"Measured on {next(iter(counts))}."
    places = [f"{count} results on {place}" for place, count in counts.most_common()]
    return f"Measured in several places: {'. '.join(places)}."


def _machine(result: Mapping[str, Any]) -> str:
    if "hardware" not in result:
        return "a machine that they do not name"
    parts = (result["hardware"], result["versions"])
    return "; ".join(", ".join(f"{name} {text}" for name, text in part.items()) for part in parts)
