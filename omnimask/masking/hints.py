"""Which hints a masker asks for, so that a step computes these and no others."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from omnimask.masking.plan import Masker


def asked_hints(masker: Masker) -> tuple[str, ...]:
    """The names of the hints that a masker or a masker inside it asks for, each once, sorted."""
    return tuple(sorted(set(_hint_names(masker))))


def _hint_names(value: object) -> Iterator[str]:
    if is_dataclass(value):
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.name == "hint" and isinstance(inner, str):
                yield inner
            yield from _hint_names(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _hint_names(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _hint_names(inner)
