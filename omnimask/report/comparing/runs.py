"""What run folders say of themselves in files; nothing is loaded that would run code."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.json_lines import read_lines
from omnimask.report.history import drop_repeated


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One number of a run, by what it is of. `low` and `high`: its 95 % interval, if it has one."""

    stream: str
    what: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRun:
    """`group`: runs of one group differ in their seed alone. `recipe` is the JSON of its record."""

    name: str
    group: str
    folder: Path
    recipe: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]
    scores: tuple[Score, ...]


def read_runs(
    folders: Sequence[Path], groups: Mapping[Path, str] | None = None
) -> list[ComparedRun]:
    """The runs by the shortest ends of their paths that tell them apart.

    RecipeError for a folder that is none of a run, or that is named twice.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise RecipeError(f"a run is named twice: {', '.join(map(str, folders))}")
    names = _short_names(folders)
    return [
        _read(folder, name, (groups or {}).get(folder, name))
        for folder, name in zip(folders, names, strict=True)
    ]


def _short_names(folders: Sequence[Path]) -> list[str]:
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("whole paths differ")


def _read(folder: Path, name: str, group: str) -> ComparedRun:
    if not (folder / "recipe.json").is_file():
        raise RecipeError(f"{folder} is no run folder: it has no recipe.json")
    return ComparedRun(
        name=name,
        group=group,
        folder=folder,
        recipe=_json(folder / "recipe.json"),
        lines=tuple(drop_repeated(read_lines(folder / "metrics.jsonl"))),
        scores=(*_of_report(folder), *_of_probes(folder)),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: is no JSON ({error}); it was cut off or edited") from error


def _of_report(folder: Path) -> list[Score]:
    """Held-out losses and nearest neighbours, where a report has been written."""
    path = folder / "report" / "results.json"
    if not path.is_file():
        return []
    found = _json(path)
    losses = [
        Score(stream=entry["stream"], what=f"loss {entry['objective']}", value=entry["model"])
        for entry in found["held_out_losses"]
        if entry["model"] is not None
    ]
    neighbours = [
        Score(
            stream=entry["stream"],
            what=f"kNN {entry['measure']}",
            value=entry["trained"]["value"],
            low=entry["trained"]["low"],
            high=entry["trained"]["high"],
        )
        for entry in found["knn"]
    ]
    return [*losses, *neighbours]


def _of_probes(folder: Path) -> list[Score]:
    """What `omnimask probe` found, in the run's folder or where it writes by itself."""
    places = (folder, folder.parent / f"probe-{folder.resolve().name}")
    path = next((p / "probe.json" for p in places if (p / "probe.json").is_file()), None)
    if path is None:
        return []
    return [
        Score(
            stream=entry["stream"],
            what=f"probe {entry['probe']}, layer {entry['layer']}",
            value=entry["value"],
            low=entry["low"],
            high=entry["high"],
        )
        for entry in _json(path)["scores"]
    ]
