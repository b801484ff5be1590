"""Beginning a run from trained encoders: one, several, or a shallower one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.network.relative import carry_tables
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.start import Start
from omnimask.recipe.teacher import SnapshotTeacher, Teacher
from omnimask.tokens.modality import Modality
from omnimask.training.checkpoint import fill_weights
from omnimask.training.ema import update_ema
from omnimask.training.step import MaskedModel
from omnimask.transfer.adapting import adapt
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

_ENCODER = "backbone.encoder"
_BLOCKS = f"{_ENCODER}.blocks"
_EVERY = (
    "width",
    "positions",
    "places_every_block",
)  # fields of an `Encoder` on which tokenizers depend
_OF_BLOCKS = (
    *("num_heads", "class_token", "num_registers", "rotary", "relative_bias"),
    *("pre_norm", "norm_weights"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedStart:
    """What one `Start` gives: its weights by their names in the model, and its modalities with the
    statistics of their pretraining. `line` says it in words.
    """

    weights: Mapping[str, Tensor]
    taken: tuple[str, ...]  # the parts of the model of which every weight comes from here
    modalities: tuple[Modality, ...]
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmStart:
    """All starts of a recipe, as `Pretraining` takes them."""

    opened: tuple[OpenedStart, ...]

    def fill(self, recipe: Recipe, /) -> Recipe:
        return take_modalities(recipe, self.opened)

    def load(self, model: MaskedModel, /) -> None:
        take_weights(model, self.opened)

    def lines(self, recipe: Recipe, /) -> tuple[str, ...]:
        return start_lines(recipe, self.opened)


def open_starts(recipe: Recipe) -> WarmStart:
    """Reads every start of the recipe.

    RecipeError where one cannot be read, where its encoder is not made as the recipe's is, where it
    never saw a modality that is asked of it or has one in a form that cannot be adapted, and where
    two give the same modality.
    """
    opened: list[OpenedStart] = []
    givers: dict[str, int] = {}
    for number, start in enumerate(recipe.start):
        try:
            part = _open(start, recipe)
        except RecipeError as error:
            raise RecipeError(f"start.{number}: {error}") from error
        for name in (modality.name for modality in part.modalities):
            if name in givers:
                raise RecipeError(
                    f"start.{givers[name]} and start.{number} both give {name!r}; name in each "
                    f"the modalities that are to come from it: --set start.{number}.modalities="
                    "\"('...',)\""
                )
            givers[name] = number
        opened.append(replace(part, line=f"start.{number}: {part.line}"))
    return WarmStart(opened=tuple(opened))


def take_modalities(recipe: Recipe, opened: Sequence[OpenedStart]) -> Recipe:
    """The recipe with the statistics of the starts' pretraining wherever it states none itself;
    `fit` measures what is still missing.
    """
    given = {modality.name: modality for part in opened for modality in part.modalities}
    return replace(recipe, modalities=tuple(given.get(m.name, m) for m in recipe.modalities))


def take_weights(model: MaskedModel, opened: Sequence[OpenedStart]) -> None:
    """Loads the weights of the starts; an EMA teacher begins as the student does."""
    for part in opened:
        kept = {k: v for k, v in model.state_dict().items() if not _is_below(k, part.taken)}
        fill_weights(model, {**kept, **part.weights}, source=part.line)
    if opened and isinstance(model.recipe.teacher, Teacher | SnapshotTeacher):
        assert model.teacher is not None
        update_ema(model.teacher, model, 0.0)


def start_lines(recipe: Recipe, opened: Sequence[OpenedStart]) -> tuple[str, ...]:
    """For people: a line for each start, and one for what is new."""
    if not opened:
        return ()
    given = {modality.name for part in opened for modality in part.modalities}
    new = [f"tokenizer of {m.name}" for m in recipe.modalities if m.name not in given]
    if not any(start.blocks for start in recipe.start):
        new.insert(0, "encoder blocks")
    if recipe.hidden == "replace":
        new.append("mask token")
    return (*(part.line for part in opened), f"new: {', '.join([*new, 'decoders'])}")


def stacked_block(layer: int, depth: int) -> int:
    """The block of a source of `depth` that `layer` of a deeper encoder begins as.

    The source stands on itself from the bottom, the last copy cut off where the depth is no
    multiple: progressive stacking, https://proceedings.mlr.press/v97/gong19a.html, which doubles
    the depth.
    """
    return layer % depth


def _open(start: Start, recipe: Recipe) -> OpenedStart:
    source = load_encoder(start.encoder, which=start.which)
    known = source.modalities
    names = start.modalities
    if names is None:
        names = tuple(m.name for m in recipe.modalities if m.name in known)
    if not names and not start.blocks:
        raise RecipeError(
            f"{start.encoder} has no modality of the recipe: it has {', '.join(sorted(known))}, "
            f"the recipe {', '.join(m.name for m in recipe.modalities)}; give them the same names, "
            "take its blocks, or leave this start out"
        )
    _check_alike(source.info.encoder, recipe.encoder, start)
    asked = [recipe.modality(name) for name in names]
    wanted = [_as_pretrained(new, source.info.modality(new.name)) for new in asked]
    adapted, lines = adapt(source, wanted) if wanted else (source, ())
    modalities = tuple(adapted.info.modality(name) for name in names)
    taken = tuple(place for name in names for place in _places(name))
    weights = {k: v for k, v in adapted.state_dict().items() if _is_below(k, taken)}
    if start.blocks:
        blocks = _encoder_weights(adapted, depth=recipe.encoder.depth)
        weights |= carry_tables(blocks, adapted.info.modalities, recipe.modalities)[0]
        taken = (*taken, _ENCODER)
    parts = [_said_of_blocks(source, recipe)] if start.blocks else []
    parts += [_said_of(old, new) for old, new in zip(asked, modalities, strict=True)]
    line = f"{start.encoder} ({source.info.name}) gives {', '.join(parts)}"
    return OpenedStart(
        weights=weights, taken=taken, modalities=modalities, line="; ".join([line, *lines])
    )


def _places(modality: str) -> tuple[str, ...]:
    """The parts of a tokenizer: its embedding, its positions, its vector."""
    parts = ("contents.embeddings", "places.positions", "places.modalities")
    return tuple(f"backbone.{part}.{modality}" for part in parts)


def _is_below(name: str, places: Sequence[str]) -> bool:
    """Whether a weight is one of these parts or in one; "image" has no part in "image2"."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _as_pretrained(new: Modality, old: Modality) -> Modality:
    """The old one where the new differs in nothing but fields that it leaves at None; for what else
    differs, `adapt` asks the modality itself.
    """
    if type(new) is not type(old):
        return new
    kept = all(getattr(new, name) in (None, getattr(old, name)) for name in _field_names(new))
    return old if kept else new


def _check_alike(source: Encoder, own: Encoder, start: Start) -> None:
    """RecipeError naming every field in which the recipe's encoder must be as the source's."""
    pairs = {name: (getattr(source, name), getattr(own, name)) for name in _EVERY}
    if start.blocks:
        pairs |= {name: (getattr(source, name), getattr(own, name)) for name in _OF_BLOCKS}
        pairs |= _styles(source.style, own.style)
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differing:
        found = ", ".join(f"{n} is {own!r} (there {its!r})" for n, (its, own) in differing.items())
        fix = " ".join(f"--set encoder.{name}={its}" for name, (its, _) in differing.items())
        raise RecipeError(
            f"the recipe's encoder must be made as that of {start.encoder}: {found}; write {fix}, "
            "or take another encoder"
        )
    if start.blocks and own.depth < source.depth:
        raise RecipeError(
            f"encoder.depth is {own.depth}, {start.encoder} has {source.depth} blocks; expected "
            f"as many or more, which are stacked; write --set encoder.depth={source.depth}"
        )


def _styles(source: BlockStyle, own: BlockStyle) -> dict[str, tuple[object, object]]:
    """What the two say of each field that matters to trained weights."""
    names = [name for name in _field_names(own) if name != "attention"]  # how, not what
    if source.layer_scale is not None and own.layer_scale is not None:
        names.remove("layer_scale")  # both have one, and its first value is no longer used
    return {f"style.{name}": (getattr(source, name), getattr(own, name)) for name in names}


def _encoder_weights(source: PretrainedEncoder, *, depth: int) -> dict[str, Tensor]:
    """Prefix, norm, and the blocks for an encoder of `depth`."""
    weights = {k: v for k, v in source.state_dict().items() if _is_below(k, [_ENCODER])}
    stacked = {k: v for k, v in weights.items() if not _is_below(k, [_BLOCKS])}
    for layer in range(depth):
        below = f"{_BLOCKS}.{stacked_block(layer, source.info.encoder.depth)}."
        stacked |= {
            f"{_BLOCKS}.{layer}.{name.removeprefix(below)}": value
            for name, value in weights.items()
            if name.startswith(below)
        }
    return stacked


def _said_of_blocks(source: PretrainedEncoder, recipe: Recipe) -> str:
    depth, own = source.info.encoder.depth, recipe.encoder.depth
    return f"{depth} blocks" + (f" stacked to {own}" if own > depth else "")


def _said_of(asked: Modality, given: Modality) -> str:
    """Its name, and in brackets the fields that the recipe left open and the start has filled."""
    open_fields = [
        name
        for name in _field_names(asked)
        if getattr(asked, name) is None and getattr(given, name) is not None
    ]
    return asked.name + (f" (its {', '.join(open_fields)})" if open_fields else "")


def _field_names(record: object) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cast("Any", record)))
