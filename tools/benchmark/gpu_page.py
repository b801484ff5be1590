"""docs/gpu.md: what `tools/gpu_day.py` has found, as tables."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.results_table import END, START, write_between

Items = Mapping[str, Mapping[str, Any]]


def write_page(results: Path, page: Path) -> None:
    """Puts the tables between the page's marks; makes the page where there is none."""
    found = json.loads(results.read_text())
    if not page.exists():
        page.write_text(f"# On a GPU\n\n{START}\n{END}\n")
    write_between(page, body(found), [found])


def body(found: Mapping[str, Any]) -> str:
    """All parts that have results, and at the end what failed."""
    lines = [f"Command: `{found['command']}`", ""]
    machine = done(found["parts"].get("machine", {})).get("rates")
    for title, parts, table in _TABLES:
        items = {
            item: result
            for part in parts
            for item, result in done(found["parts"].get(part, {})).items()
        }
        if items:
            lines += [f"## {title}", "", *table(items, machine), ""]
    lines += ["## What failed or was stopped", ""]
    failed = [
        f"- {part}, {item} ({entry['state']}): `{_last_line(entry.get('error', ''))}`"
        for part, entries in found["parts"].items()
        for item, entry in entries.items()
        if entry["state"] != "done"
    ]
    return "\n".join([*lines, *(failed or ["Nothing."])])


def done(entries: Items) -> dict[str, Any]:
    return {item: e["result"] for item, e in entries.items() if e["state"] == "done"}


def _last_line(error: str) -> str:
    return (error.strip().splitlines() or [""])[-1].replace("`", "'")


def _rows(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    columns = head.split(", ")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _machine(items: Mapping[str, Any], machine: Any) -> list[str]:
    lines = [
        f"- {name}: {rate / 1e12:.3g} TFLOP/s" for name, rate in items["rates"]["rates"].items()
    ]
    copied = items["rates"]["copied_bytes_per_s"]
    return [*lines, f"- copying, read and written: {copied / 1e12:.2f} TB/s"]


def _tests(items: Mapping[str, Any], machine: Any) -> list[str]:
    result = items["marked gpu"]
    counts = ", ".join(f"{count} {what}" for what, count in result["counts"].items())
    return [f"{counts}.", *(f"- {line}" for line in result["failed"])]


def _throughput(items: Mapping[str, Any], machine: Any) -> list[str]:
    """`over theirs`: samples per second over those of the case's step by transformers, alike
    compiled or not.
    """

    def cells(item: str, found: Mapping[str, Any]) -> list[str]:
        name, *how = item.split()
        theirs = " ".join([name, "transformers", *(["compiled"] if "compiled" in how else [])])
        other = items.get(theirs)
        over = "" if other is None else f"{found['samples_per_s'] / other['samples_per_s']:.2f}"
        return [
            *(name, " ".join(how) or "eager", str(found["samples"])),
            f"{found['seconds'] * 1000:.1f}",
            f"{found['samples_per_s']:.0f}",
            over,
            f"{found['flops_per_s'] / 1e12:.1f}",
            _share(found["flops_per_s"], machine and machine["data_sheet_flops_per_s"]),
            _share(found["flops_per_s"], machine and machine["flops_per_s"]),
            "" if found["peak_gb"] is None else f"{found['peak_gb']:.1f}",
            f"{found['issued']:.2f}",
            f"{found['first_step_s']:.1f}",
        ]

    head = (
        "case, how, samples, step ms, samples/s, over theirs, TFLOP/s, of data sheet, "
        "of product, peak GB, issuing, first step s"
    )
    return [
        "bf16, whole steps. TFLOP/s are those of the model, also for peers. `issuing` is the share "
        "of the time in which the host was still asking: near 1, the device waits for the host.",
        "",
        *_rows(head, (cells(*pair) for pair in sorted(items.items()))),
    ]


def _share(rate: float, peak: float | None) -> str:
    return f"{rate / peak:.1%}" if peak else ""


def _parity(items: Mapping[str, Any], machine: Any) -> list[str]:
    rows = (
        [
            item,
            *(f"{found[p][when]:.1e}" for p in ("fp32", "bf16") for when in ("first", "last")),
            found["waits"] or "no",
        ]
        for item, found in items.items()
    )
    return [
        "Losses against fp32 on the CPU, relative: of the first step, and of the fourth.",
        "",
        *_rows("recipe, fp32 first, fp32 fourth, bf16 first, bf16 fourth, host waits", rows),
    ]


def _profile(items: Mapping[str, Any], machine: Any) -> list[str]:
    kinds = ("matrix products", "attention", "rest")
    rows = ([item, *(f"{f['shares'][k]:.1%}" for k in kinds)] for item, f in items.items())
    longest = [
        f"- {item}: " + ", ".join(f"{n} {s:.1%}" for n, s in list(f["longest"].items())[:10])
        for item, f in items.items()
    ]
    return [*_rows(f"step, {', '.join(kinds)}", rows), "", *longest]


def _varlen(items: Mapping[str, Any], machine: Any) -> list[str]:
    found = items["attention"]
    rows = (
        [path, f"{found[path]['seconds'] * 1000:.2f}", *(f"{e:.1e}" for e in found[path]["errors"])]
        for path in ("dense", "varlen")
    )
    return _rows("path, forward and backward ms, error of outputs, error of gradients", rows)


def _training(items: Mapping[str, Any], machine: Any) -> list[str]:
    rows = (
        [p, f"{f['first']:.4f}", f"{f['last']:.4f}", str(f["finite"]), f"{f['seconds']:.1f}"]
        for p, f in items["mixed"].items()
    )
    return _rows("precision, first loss, mean of the last five, finite, seconds", rows)


def _loader(items: Mapping[str, Any], machine: Any) -> list[str]:
    rows = (
        [n, f"{f['share_waiting']:.1%}", f"{f['samples_per_s']:.0f}", str(f["workers"])]
        for n, f in items.items()
    )
    return _rows("recipe on JPEGs, waiting for data, samples/s, workers", rows)


Table = Callable[[Mapping[str, Any], Any], list[str]]
_TABLES: tuple[tuple[str, tuple[str, ...], Table], ...] = (
    ("The device", ("machine",), _machine),
    (
        "Steps",
        ("throughput", "peers", "varlen steps", "compiled", "compiled peers"),
        _throughput,
    ),
    ("Where a step's time goes", ("profile",), _profile),
    ("The tests marked gpu", ("tests",), _tests),
    ("The same losses as on the CPU, without waiting", ("parity",), _parity),
    ("Variable-length attention", ("varlen",), _varlen),
    ("A short run of the mixed recipe", ("training",), _training),
    ("Waiting for data", ("loader",), _loader),
)
