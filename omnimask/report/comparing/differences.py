"""In which fields the recipes of runs differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ABSENT = "–"


def differing_fields(recipes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """By dotted path, as `--set` takes it, the value in each recipe; equal fields are left out.

    Names of runs and formats of files are no difference.
    """
    flat = [dict(_leaves(recipe, "")) for recipe in recipes]
    every = dict.fromkeys(path for fields in flat for path in fields)
    found = [(path, [fields.get(path, _ABSENT) for fields in flat]) for path in every]
    return [
        (path, values)
        for path, values in found
        if len(set(values)) > 1 and path not in ("name", "format")
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and set(value) == {"function"}:
        yield path, str(value["function"])
    elif isinstance(value, Mapping):
        for name, inside in value.items():
            below = path if name == "record" else f"{path}.{name}".lstrip(".")
            yield from _leaves(inside, below)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            name = item.get("name", number) if isinstance(item, Mapping) else number
            yield from _leaves(item, f"{path}.{name}".lstrip("."))
    else:
        yield path, str(tuple(value)) if isinstance(value, list) else str(value)
