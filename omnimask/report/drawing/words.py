"""A masker in plain words."""

from collections.abc import Mapping
from dataclasses import fields

from omnimask.foundation.records import is_record


def masker_words(masker: object, modality: str) -> str:
    """Name and fields, with the maskers inside it: `PredictShare (share 0.33) of RandomMask (...)`.

    Of maskers kept by modality only the one of `modality` is told.
    """
    if by_modality := _only_by_modality(masker, modality):
        return masker_words(by_modality, modality)
    inner: list[str] = []
    own: list[str] = []
    for field in fields(masker):  # pyright: ignore[reportArgumentType]
        value = getattr(masker, field.name)
        if isinstance(value, Mapping) and modality in value:
            value = value[modality]
        if is_record(value):
            inner.append(masker_words(value, modality))
        elif isinstance(value, tuple) and value and all(map(is_record, value)):
            inner.extend(masker_words(part, modality) for part in value)
        elif value is not None and value != {}:
            own.append(f"{field.name.replace('_', ' ')} {_value(value)}")
    name = type(masker).__name__
    if own:
        name = f"{name} ({', '.join(own)})"
    return f"{name} of {' and '.join(inner)}" if inner else name


def _only_by_modality(masker: object, modality: str) -> object | None:
    """The masker of `modality`, if all that this one does is to keep one for each."""
    values = [getattr(masker, field.name) for field in fields(masker)]  # pyright: ignore[reportArgumentType]
    values = [value for value in values if value != {}]
    if len(values) == 1 and isinstance(values[0], Mapping) and is_record(values[0].get(modality)):
        return values[0][modality]
    return None


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, tuple):
        return " to ".join(map(_value, value)) if len(value) == 2 else " ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    return str(value)
