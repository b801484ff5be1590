"""Whether everything in a recipe can be loaded again, asked before a run begins rather than after.

A run is worth nothing without its recipe: a report, a resumed run and an embedding all begin by
loading it from `recipe.json`.
"""

import json
import types
from collections.abc import Iterator
from typing import Any

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import children, from_json, is_record, to_json
from omnimask.foundation.saved_names import find_part, saved_name
from omnimask.foundation.trust import check_trusted, trust


def trust_parts(recipe: object) -> None:
    """Trusts the packages of every part of a recipe that a program hands over."""
    for _, value in _values(recipe, ""):
        if (part := _part(value)) is not None:
            trust(part.__module__)


def check_reloadable(recipe: object, name: str = "recipe") -> None:
    """RecipeError for what could not be loaded again, with its field's path below `name`."""
    for path, value in _values(recipe, name):
        try:
            part = _part(value)
            if part is not None:
                _check_part(part)
            back = from_json(json.loads(json.dumps(to_json(value))))
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error
        except Exception as error:  # whatever a record of somebody else raises when it is made
            raise RecipeError(
                f"{path}: {_describe(value)} can be saved, but not loaded again from its fields: "
                f"{type(error).__name__}: {error}"
            ) from error
        if back != value:
            raise RecipeError(
                f"{path}: {_describe(value)} differs after it was saved and loaded again: "
                f"expected {_short(value)}, got {_short(back)}; its fields must hold plain values "
                "(tuples instead of lists, strings as keys) that __post_init__ leaves alone, and "
                "equal records must compare equal"
            )


def _values(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Everything in a recipe with its path, what is inside first: so the cause is named."""
    inside = children(value)
    if isinstance(value, tuple | list) and not inside:
        inside = {str(number): item for number, item in enumerate(value)}
    for name, child in inside.items():
        yield from _values(child, f"{path}.{name}")
    yield path, value


def _part(value: object) -> Any:
    """The class of a record, or a function; None for plain values."""
    if is_record(value):
        return type(value)
    return value if isinstance(value, types.FunctionType) else None


def _check_part(part: Any) -> None:
    saved = saved_name(part)
    if isinstance(part, type) and not part.__dataclass_params__.frozen:
        raise RecipeError(
            f"{saved} is a dataclass that can be changed after it was checked; write "
            "@dataclass(frozen=True)"
        )
    check_trusted(part.__module__, saved)
    if find_part(saved) is not part:
        raise RecipeError(
            f"{saved} is another object than the one in the recipe; define {part.__name__} once, "
            "at the top of its module, under its own name"
        )


def _describe(value: object) -> str:
    part = _part(value)
    return type(value).__name__ if part is None else f"{part.__module__}:{part.__qualname__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
