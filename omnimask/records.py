"""Frozen records to JSON and back, and single fields changed by a dotted path.

A record is written as `{"record": "package.module:Class", field: value, ...}`, a function as
`{"function": "package.module:name"}`. Only names inside our own packages are looked up on loading,
so reading a recipe never runs code from elsewhere.
"""

import dataclasses
import importlib
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omnimask.errors import RecipeError, nearest_names

OUR_PACKAGES = ("omnimask", "modalities", "recipes")


def is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def to_json(value: Any) -> Any:
    """Plain JSON values for a record, and everything in it."""
    if is_record(value):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"record": f"{type(value).__module__}:{type(value).__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, types.FunctionType):
        return {"function": f"{value.__module__}:{value.__qualname__}"}
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
        return _look_up(value["function"])
    if "record" not in value:
        return {key: from_json(item) for key, item in value.items()}
    record = _look_up(value["record"])
    fields = {key: from_json(item) for key, item in value.items() if key != "record"}
    known = {field.name for field in dataclasses.fields(record)}
    for key in fields:
        if key not in known:
            raise RecipeError(
                f"{value['record']} has no field {key!r}; {nearest_names(key, known)}. Was the "
                "recipe written by another version of omnimask?"
            )
    return record(**fields)


def _look_up(reference: str) -> Any:
    module, _, name = reference.partition(":")
    if module.split(".")[0] not in OUR_PACKAGES:
        raise RecipeError(
            f"a saved recipe may name parts of {', '.join(OUR_PACKAGES)} only, got {reference!r}"
        )
    try:
        return vars(importlib.import_module(module))[name]
    except (ModuleNotFoundError, KeyError) as error:
        raise RecipeError(
            f"the saved recipe names {reference!r}, which this version of omnimask does not have"
        ) from error


def children(value: Any) -> dict[str, Any]:
    """The named parts of a record, a mapping or a tuple (by `name` field, else by number)."""
    if is_record(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, tuple) and any(is_record(item) for item in value):
        return {str(getattr(item, "name", i)): item for i, item in enumerate(value)}
    return {}


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
