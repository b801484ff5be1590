"""What `omnimask sample-data` writes: one file per part of the sample data.

A part has `jobs(scale)`, `write(job, ...)` and `ABOUT`, its text for the README.
"""

import importlib
from pathlib import Path
from typing import Any

PARTS = tuple(
    sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if "\ndef jobs(" in path.read_text(encoding="utf-8")  # importing them takes long
    )
)


def part_module(part: str) -> Any:
    assert part in PARTS, part
    return importlib.import_module(f"omnimask.sample_data.{part}")
