"""Frozen records to JSON and back, and single fields changed by a dotted path.

A record is written as `{"record": "omnimask:Encoder", field: value, ...}`, a function as
`{"function": "omnimask:mse"}`: `saved_names` says how these names are made and found again. Only
names inside trusted packages are looked up, so that reading a recipe runs no code from elsewhere.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.saved_names import FORMAT, check_format, find_part, saved_name


def is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def to_json(value: Any) -> Any:
    """Plain JSON values for a record, and everything in it."""
    if is_record(value):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"record": saved_name(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, types.FunctionType):
        return {"function": saved_name(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise RecipeError(
        f"a recipe holds numbers, strings, tuples, mappings, functions and records, got "
        f"{type(value).__name__}: {value!r}"
    )


def from_json(value: Any) -> Any:
    """The inverse of `to_json`; lists come back as tuples."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "function" in value:
        function = find_part(value["function"])
        if not isinstance(function, types.FunctionType):
            raise RecipeError(f"{value['function']!r} is no function, as the saved recipe has it")
        return function
    if "record" not in value:
        return {key: from_json(item) for key, item in value.items()}
    record = find_part(value["record"])
    if not (isinstance(record, type) and dataclasses.is_dataclass(record)):
        raise RecipeError(f"{value['record']!r} is no record, but the saved recipe says that it is")
    fields = {key: from_json(item) for key, item in value.items() if key != "record"}
    known = {field.name for field in dataclasses.fields(record)}
    for key in fields:
        if key not in known:
            raise RecipeError(
                f"{value['record']} has no field {key!r}; {nearest_names(key, known)}. Was the "
                "recipe written by another version of omnimask?"
            )
    return record(**fields)


def dump(record: Any) -> dict[str, Any]:
    """A record as the contents of a JSON file, with the format's version in front."""
    return {"format": FORMAT, **to_json(record)}


def load(saved: dict[str, Any], where: str) -> Any:
    """The record in a JSON file of this or an earlier format; `where` names the file in errors."""
    check_format(saved.get("format", 1), where)
    return from_json({key: value for key, value in saved.items() if key != "format"})


def children(value: Any) -> dict[str, Any]:
    """The named parts of a record, a mapping or a tuple (by `name` field, else by number)."""
    if is_record(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, tuple) and any(is_record(item) for item in value):
        return {str(getattr(item, "name", i)): item for i, item in enumerate(value)}
    return {}


def records_in(value: Any) -> Iterator[Any]:
    """Every record in a record, a mapping or a tuple, itself included."""
    if is_record(value):
        yield value
    for child in children(value).values():
        yield from records_in(child)


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted path that `set_paths` accepts."""
    for name, child in children(value).items():
        yield prefix + name
        yield from paths(child, f"{prefix}{name}.")


def set_paths(record: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of `record` with the fields at dotted paths replaced, all of them at once, so that
    changes which only make sense together are checked together.

    RecipeError for an unknown path (naming the nearest) or a value of another type.
    """
    known = set(paths(record))
    for path in changes:
        if path not in known:
            raise RecipeError(f"the recipe has no {path!r}; {nearest_names(path, known)}")
    return _set(record, {tuple(path.split(".")): new for path, new in changes.items()}, "")


def _set(value: Any, changes: Mapping[tuple[str, ...], Any], path: str) -> Any:
    if () in changes:
        return changes[()]
    by_child: dict[str, dict[tuple[str, ...], Any]] = {}
    for (name, *rest), new in changes.items():
        by_child.setdefault(name, {})[tuple(rest)] = new
    inside = children(value)
    replaced = {
        name: _set(inside[name], below, f"{path}{name}.") for name, below in by_child.items()
    }
    if isinstance(value, Mapping):
        return {**value, **replaced}
    if isinstance(value, tuple):
        return tuple(replaced.get(name, child) for name, child in inside.items())
    hints = get_type_hints(type(value))
    fitted = {name: _fit_type(new, hints[name], path + name) for name, new in replaced.items()}
    return dataclasses.replace(value, **fitted)


def _fit_type(value: Any, hint: Any, path: str) -> Any:
    """`value` as the annotated type of a field (an int for a float, a list for a tuple)."""
    if isinstance(value, list):
        value = tuple(value)
    if _accepts(value, hint):
        return value
    if type(value) is int and _accepts(float(value), hint):
        return float(value)
    expected = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    raise RecipeError(
        f"{path} must be {expected}, got {value!r} ({type(value).__name__}); "
        f"write for example --set {path}={_example(hint)}"
    )


def _example(hint: Any) -> str:
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    examples = {float: "0.1", int: "16", bool: "True", str: "text"}
    return str(choices[0]) if choices else examples.get(hint, "...")


def _accepts(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_accepts(value, option) for option in get_args(hint))
    if hint in (bool, int, float, str):
        return type(value) is hint
    if hint is type(None):
        return value is None
    if origin is tuple:
        inner = get_args(hint)
        if not isinstance(value, tuple):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(_accepts(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(_accepts, value, inner))
    return True
