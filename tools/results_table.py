"""The results of `tools/bench_methods.py` as a table in a page."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnimask.foundation.hardware import hardware
from omnimask.foundation.versions import versions

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
    write_between(page, table(out))


def write_between(page: Path, body: str) -> None:
    """Puts `body` between the page's marks, below a line with hardware and versions."""
    head, rest = page.read_text().split(START)
    _, tail = rest.split(END)
    where = ", ".join(f"{name} {version}" for name, version in versions().items())
    machine = ", ".join(f"{name} {value}" for name, value in hardware().items())
    page.write_text(f"{head}{START}\n\nMeasured on {machine}; {where}.\n\n{body}\n{END}{tail}")
