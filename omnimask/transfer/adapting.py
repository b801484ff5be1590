"""The same blocks with other input sizes, durations, channels and patches than in pretraining."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.relative import carry_tables
from omnimask.network.resampling import Resampled, State
from omnimask.tokens.modality import Modality
from omnimask.transfer.modality_hooks import Adaptable
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder

_PLACES = {
    "embedding": "backbone.contents.embeddings",
    "position": "backbone.places.positions",
}
_SEED = 0  # of what is new in an adapted encoder, such as columns that pretraining did not have


def adapt(
    encoder: PretrainedEncoder, modalities: Sequence[Modality]
) -> tuple[PretrainedEncoder, tuple[str, ...]]:
    """An encoder for `modalities`, with the blocks of `encoder`; and what was changed, in words.

    Each modality is looked up by name and may differ in its sizes. A mean or deviation that it
    states is used; one that is None is that of pretraining (`fit` it first to measure it anew).
    Modalities that are not named are left out. `encoder` itself stays as it is; nothing is shared.

    RecipeError for a modality that the encoder never saw, for one of another type, and for a
    difference that cannot be adapted.
    """
    pairs = [(encoder.info.modality(modality.name), modality) for modality in modalities]
    continued = [_continued(old, new) for old, new in pairs]
    lines = [line for _, found in continued for line in found]
    info = replace(encoder.info, modalities=tuple(modality for modality, _ in continued))
    adapted = _fresh_encoder(info)
    weights = {
        name: value
        for name, value in encoder.state_dict().items()
        if name in adapted.state_dict() and not _is_of_modality(name)
    }
    for (old, _), (new, _) in zip(pairs, continued, strict=True):
        for part in _PLACES:
            prefix = f"{_PLACES[part]}.{new.name}."
            resampled = _adapt_part(part, old, new, (encoder, adapted))
            weights |= {prefix + name: value for name, value in resampled.state.items()}
            lines += resampled.lines
        vector = f"backbone.places.modalities.{new.name}"
        weights[vector] = encoder.state_dict()[vector]
    weights, tables = carry_tables(weights, encoder.info.modalities, info.modalities)
    lines += tables
    adapted.load_state_dict(weights)
    if lines:
        origin = {**encoder.info.origin, "adapted": "; ".join(lines)}
        adapted.info = replace(info, origin=origin)
    return adapted.to(encoder.device), tuple(lines)


def _continued(old: Modality, new: Modality) -> tuple[Modality, tuple[str, ...]]:
    if type(old) is not type(new):
        raise RecipeError(
            f"{new.name!r} was pretrained as {type(old).__name__} and cannot be adapted to "
            f"{type(new).__name__}; keep the type, or give the new modality another name and "
            "pretrain on it"
        )
    return new.continued_from(old) if isinstance(new, Adaptable) else (_filled(new, old), ())


def _filled(new: Modality, old: Modality) -> Modality:
    """Its fields that are None, such as statistics to be measured, as pretraining had them."""
    record = cast("Any", new)  # every modality is a dataclass, which a Protocol cannot say
    unset = [field.name for field in fields(record) if getattr(record, field.name) is None]
    return replace(record, **{name: getattr(old, name) for name in unset})


def _adapt_part(
    part: str,
    old: Modality,
    new: Modality,
    encoders: tuple[PretrainedEncoder, PretrainedEncoder],
) -> Resampled:
    prefix = f"{_PLACES[part]}.{new.name}."
    before, after = (_below(prefix, each.state_dict()) for each in encoders)
    if isinstance(new, Adaptable):
        method = new.adapt_embedding if part == "embedding" else new.adapt_position
        resampled = method(old, before, after)
    else:
        resampled = Resampled(state=before)
    _check_shapes(new, part, resampled.state, after)
    return resampled


def _check_shapes(modality: Modality, part: str, state: State, expected: State) -> None:
    shapes, wanted = ({k: tuple(v.shape) for k, v in s.items()} for s in (state, expected))
    if shapes != wanted:
        raise RecipeError(
            f"{modality.name}: the {part} of pretraining does not fit: expected {wanted}, got "
            f"{shapes}; {type(modality).__name__} does not say how to adapt it; write "
            "continued_from, adapt_embedding and adapt_position (Adaptable in "
            "omnimask.transfer.modality_hooks), or leave the modality as it was in pretraining"
        )


def _fresh_encoder(info: EncoderInfo) -> PretrainedEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return PretrainedEncoder(info)


def _is_of_modality(name: str) -> bool:
    return name.startswith(("backbone.contents.", "backbone.places."))


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
