"""A recipe as the Python file that somebody would have written."""

import dataclasses
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omnimask.foundation.records import is_record
from omnimask.recipe.recipe import Recipe

_WIDTH = 100
_STEP = "    "
_ALWAYS = ("ratio", "flip")


def recipe_source(recipe: Recipe, reasons: Sequence[str], *, file: str = "mine.py") -> str:
    """A module with a function `mine` that returns an equal recipe; `reasons` stand in it."""
    imports = _import_lines(recipe)
    modalities = ", ".join(modality.name for modality in recipe.modalities)
    notes = "\n".join(
        textwrap.fill(reason, _WIDTH, initial_indent=f"{_STEP}- ", subsequent_indent=f"{_STEP}  ")
        for reason in reasons
    )
    body = _text(recipe, 1, len(f"{_STEP}return "))
    return f'''"""A recipe for the files in {recipe.data.root}: chosen by omnimask, yours to change.

{_STEP}omnimask pretrain {file}:mine
"""

{imports}


def mine() -> Recipe:
{_STEP}"""What was found, and what was chosen.

{notes}

{_STEP}Modalities: {modalities}
{_STEP}Paper: none; masks and losses of each modality's own paper, as said above
{_STEP}Status: chosen from the files' own sizes; not tuned
{_STEP}"""
{_STEP}return {body}
'''


def _text(value: Any, depth: int, used: int) -> str:
    """The expression; in one line where that fits behind `used` characters."""
    inline = _inline(value)
    if used + len(inline) < _WIDTH - 1:
        return inline
    opening, items, closing = _parts(value)
    if not items:
        return inline
    inner = _STEP * (depth + 1)
    lines = [
        f"{inner}{name}{_text(item, depth + 1, len(inner) + len(name))}," for name, item in items
    ]
    return "\n".join([opening, *lines, f"{_STEP * depth}{closing}"])


def _inline(value: Any) -> str:
    opening, items, closing = _parts(value)
    if not items:
        return opening + closing
    comma = "," if opening == "(" and len(items) == 1 else ""
    return opening + ", ".join(name + _inline(item) for name, item in items) + comma + closing


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """How an expression opens, its named parts, and how it closes."""
    if is_record(value):
        fields = [(f"{name}=", item) for name, item in _given(value)]
        return f"{type(value).__name__}(", fields, ")"
    if isinstance(value, Mapping):
        return "{", [(f"{_literal(key)}: ", item) for key, item in value.items()], "}"
    if isinstance(value, tuple):
        return "(", [("", item) for item in value], ")"
    if isinstance(value, types.FunctionType):
        return value.__name__, [], ""
    return _literal(value), [], ""


def _literal(value: Any) -> str:
    if isinstance(value, str):
        quoted = repr(value)
        return f'"{value}"' if quoted == f"'{value}'" and '"' not in value else quoted
    return f"{value:_}" if isinstance(value, int) and abs(value) >= 10_000 else repr(value)


def _given(record: Any) -> Iterator[tuple[str, Any]]:
    """The fields that differ from their defaults, and those that people look for."""
    for item in dataclasses.fields(record):
        value = getattr(record, item.name)
        if value == item.default and item.name not in _ALWAYS:
            continue
        made = item.default_factory
        if made is not dataclasses.MISSING and value == made():
            continue
        yield item.name, value


def _import_lines(recipe: Recipe) -> str:
    names: dict[str, set[str]] = {}
    for part in _named(recipe):
        names.setdefault(_module(part), set()).add(part.__name__)
    lines = []
    for module, parts in sorted(names.items()):
        listed = ", ".join(sorted(parts))
        line = f"from {module} import {listed}"
        if len(line) > _WIDTH:
            inside = "\n".join(f"{_STEP}{name}," for name in sorted(parts))
            line = f"from {module} import (\n{inside}\n)"
        lines.append(line)
    return "\n".join(lines)


def _named(value: Any) -> Iterator[Any]:
    """Every class and function that the expression names."""
    if is_record(value):
        yield type(value)
        for _, item in _given(value):
            yield from _named(item)
    elif isinstance(value, Mapping | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _named(item)
    elif isinstance(value, types.FunctionType):
        yield value


def _module(part: Any) -> str:
    """The shortest module that offers it: `omnimask` before `omnimask.masking.random`."""
    names = part.__module__.split(".")
    for length in range(1, len(names)):
        module = ".".join(names[:length])
        if getattr(sys.modules.get(module), part.__name__, None) is part:
            return module
    return part.__module__
