"""Records to JSON text and back; an independent reference for recipe.json.

The rule for fields: numbers, strings, booleans, None, tuples of those, mappings with string keys,
and frozen records.
"""

import dataclasses
import importlib
import json
from collections.abc import Mapping
from typing import Any


def to_json(record: Any) -> str:
    """The text; `TypeError` names the first field that breaks the rule."""
    return json.dumps(_encode(record, type(record).__name__), allow_nan=False)


def from_json(text: str) -> Any:
    return _decode(json.loads(text))


def _encode(value: Any, place: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, tuple):
        return [_encode(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{place} is a mapping whose keys are not all strings")
        return {key: _encode(item, f"{place}[{key!r}]") for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        if not kind.__dataclass_params__.frozen:  # pyright: ignore[reportAttributeAccessIssue] typeshed omits it
            raise TypeError(f"{place} is a {kind.__name__}, which is not a frozen dataclass")
        fields = {
            field.name: _encode(getattr(value, field.name), f"{place}.{field.name}")
            for field in dataclasses.fields(value)
        }
        return {"record": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}
    raise TypeError(
        f"{place} is a {type(value).__module__}.{type(value).__qualname__}; a recipe can hold "
        "int, float, str, bool, None, tuples of those, dicts with string keys and frozen records"
    )


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if isinstance(value, dict) and set(value) == {"record", "fields"}:
        module, name = value["record"].split(":")
        kind = getattr(importlib.import_module(module), name)
        return kind(**{key: _decode(item) for key, item in value["fields"].items()})
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    return value
