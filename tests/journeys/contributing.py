"""The files that CONTRIBUTING.md shows: blocks of code whose first line names one."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def files_shown() -> dict[str, str]:
    """By path; a block begins with ```python and the path."""
    blocks = re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return dict(blocks)


def commands_shown() -> list[list[str]]:
    """The arguments of every `omnimask` command of the page, in order."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return [line.removeprefix("omnimask ").split() for line in block.splitlines()]


def write_package(folder: Path) -> None:
    """The package as somebody who follows the page has it."""
    for path, text in files_shown().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    (folder / "my_parts" / "__init__.py").write_text("")


def write_pulses(folder: Path) -> None:
    """Three classes, which differ in their number of periods."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("held_out", 4)):
        for periods in (1, 2, 3):
            place = folder / "data" / split / f"periods-{periods}"
            place.mkdir(parents=True)
            for number in range(count):
                angles = np.linspace(0, 2 * np.pi * periods, 64) + rng.uniform(0, 1)
                np.savetxt(place / f"{number}.pulse", 5 + np.sin(angles), fmt="%.5f")
