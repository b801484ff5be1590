"""What the parts of a recipe must satisfy together, checked before anything is read or built."""

from collections.abc import Iterator, Sequence
from typing import Any

from omnimask.decoders import check_hidden
from omnimask.errors import RecipeError, nearest_names
from omnimask.late_targets import LateTarget, OtherCopy
from omnimask.masking.hints import asked_hints
from omnimask.objective import Objective
from omnimask.recipe import Recipe
from omnimask.records import children
from omnimask.targets import TeacherCodes
from omnimask.teacher import FrozenTeacher, Teacher


def validate(recipe: Recipe) -> None:
    """RecipeError where the parts cannot work together, naming the two fields and a fix."""
    names = [modality.name for modality in recipe.modalities]
    if len(set(names)) < len(names):
        raise RecipeError(f"two modalities have the same name: {names}; give one another `name`")
    _check_streams(recipe, names)
    _check_objectives(recipe, names)
    _check_teacher(recipe)
    _check_hints(recipe)
    _check_start(recipe, names)
    for name, decoder in recipe.decoders.items():
        check_hidden(decoder, name=name, hidden=recipe.hidden)
    for modality in recipe.modalities:
        recipe.masker.check(modality.grid, modality.name)


def _check_streams(recipe: Recipe, names: Sequence[str]) -> None:
    used: set[str] = set()
    for stream in recipe.data.streams:
        for modality in stream.files:
            _known(modality, names, f"data.streams.{stream.name}.files")
            used.add(modality)
        if stream.held_out is not None and set(stream.held_out) != set(stream.files):
            raise RecipeError(
                f"stream {stream.name}: held_out has {sorted(stream.held_out)}, files has "
                f"{sorted(stream.files)}; name the same modalities in both"
            )
    if unused := set(names) - used:
        raise RecipeError(
            f"no stream has files for {sorted(unused)}; add a stream or leave the modality out"
        )


def _check_objectives(recipe: Recipe, names: Sequence[str]) -> None:
    seen: list[Objective] = []
    for objective in recipe.objectives:
        where = f"objective {objective.name}"
        if objective.name in [other.name for other in seen]:
            raise RecipeError(f"two objectives are called {objective.name!r}; rename one")
        _known(objective.modality, names, f"{where}: modality")
        _known(objective.decoder, recipe.decoders, f"{where}: decoder")
        decoded = getattr(recipe.decoders[objective.decoder], "modality", objective.modality)
        if decoded != objective.modality:
            raise RecipeError(
                f"{where}: modality is {objective.modality!r}, but decoders[{objective.decoder!r}]"
                f".modality is {decoded!r}; give the objective a decoder of its own modality"
            )
        if isinstance(objective.target, LateTarget):
            _check_late(recipe, objective, objective.target, seen)
        seen.append(objective)
    if unused := set(recipe.decoders) - {o.decoder for o in recipe.objectives}:
        raise RecipeError(f"no objective uses decoders {sorted(unused)}; leave them out")


def _check_late(
    recipe: Recipe, objective: Objective, target: LateTarget, before: Sequence[Objective]
) -> None:
    where = f"objective {objective.name}: {type(target).__name__}"
    if target.objective_read is not None:
        _known(target.objective_read, [o.name for o in before], f"{where} (objectives before it)")
        read = next(o for o in before if o.name == target.objective_read)
        if read.modality != objective.modality:
            raise RecipeError(
                f"{where} reads the loss of {read.name!r}, which is of {read.modality}, not of "
                f"{objective.modality}; let both be of one modality"
            )
    if target.decoder_read is not None:
        _known(target.decoder_read, recipe.decoders, f"{where}.decoder")
    if isinstance(target, OtherCopy):
        width = recipe.decoders[target.decoder].output_width(recipe.encoder)
        if width != target.width:
            raise RecipeError(
                f"{where}.width must be the width of decoders[{target.decoder!r}], {width}, got "
                f"{target.width}; write width={width}"
            )
        copies = [part.copies for part in _parts(recipe.masker) if hasattr(part, "copies")]
        if copies != [2]:
            raise RecipeError(
                f"{where} compares two masks of each sample, but recipe.masker draws "
                f"{copies or 'one'}; write masker=Copies(masker=..., copies=2)"
            )


def _check_teacher(recipe: Recipe) -> None:
    teacher = recipe.teacher
    for objective in recipe.objectives:
        where = f"objective {objective.name}: {type(objective.target).__name__}"
        layers = objective.target.teacher_layers
        if layers and teacher is None:
            raise RecipeError(
                f"{where} reads a teacher, but recipe.teacher is None; write teacher=Teacher()"
            )
        if "codes" in layers:
            _check_codes(recipe, where, objective.target)
        depth = recipe.teacher_encoder.depth
        filled = not isinstance(teacher, FrozenTeacher) or teacher.is_filled
        if filled and any(n != "codes" and not -depth <= n <= 0 for n in layers):
            raise RecipeError(
                f"{where}: teacher layers count from the last, -1 to -{depth} (encoder.depth), or "
                f"0 for the normalised output, got {layers}"
            )
    reads = any(o.target.teacher_layers for o in recipe.objectives) or asked_hints(recipe.masker)
    if teacher is not None and not reads:
        raise RecipeError("recipe.teacher is set, but no objective's target or masker reads it")


def _check_codes(recipe: Recipe, where: str, target: object) -> None:
    teacher = recipe.teacher
    if not isinstance(teacher, FrozenTeacher) or not (teacher.decoder or teacher.codebook):
        raise RecipeError(
            f"{where} reads codes, but recipe.teacher has no codebook; write teacher=FrozenTeacher("
            "run=..., decoder=...) with a run that trained one"
        )
    known = getattr(teacher.codebook, "num_codes", None)
    if isinstance(target, TeacherCodes) and known not in (None, target.num_codes):
        source = f" (teacher.run={teacher.run!r})" if teacher.run is not None else ""
        raise RecipeError(
            f"{where}.num_codes is {target.num_codes}, teacher.codebook.num_codes is {known}"
            f"{source}; write num_codes={known} in the target"
        )


def _check_hints(recipe: Recipe) -> None:
    for hint in asked_hints(recipe.masker):
        where = f"recipe.masker asks for the hint {hint!r}"
        if not isinstance(recipe.teacher, Teacher):
            raise RecipeError(
                f"{where}, which an EMA teacher predicts, but recipe.teacher is "
                f"{type(recipe.teacher).__name__ if recipe.teacher else None}; write "
                "teacher=Teacher(), or use RandomMask"
            )
        _known(hint, [o.name for o in recipe.objectives], f"{where}: objective")
        objective = next(o for o in recipe.objectives if o.name == hint)
        width = objective.target.num_predicted(recipe.modality(objective.modality), 1)
        if width != 1 or recipe.hidden != "drop":
            raise RecipeError(
                f"{where}, but objective {hint!r} predicts {width} numbers per token with "
                f"hidden={recipe.hidden!r}; a hint is one number from a decoder with hidden='drop'"
            )


def _check_start(recipe: Recipe, names: Sequence[str]) -> None:
    givers: dict[str, int] = {}
    for number, start in enumerate(recipe.start):
        for name in start.modalities or ():
            _known(name, names, f"start.{number}.modalities")
            if name in givers:
                raise RecipeError(
                    f"start.{givers[name]} and start.{number} both give {name!r}; name it in one"
                )
            givers[name] = number
    with_blocks = [number for number, start in enumerate(recipe.start) if start.blocks]
    if len(with_blocks) > 1:
        raise RecipeError(
            f"start: {with_blocks} all give their blocks, expected one; write blocks=False in the "
            f"others: --set start.{with_blocks[1]}.blocks=False"
        )


def _parts(record: Any) -> Iterator[Any]:
    """A record and every record inside it."""
    yield record
    for child in children(record).values():
        yield from _parts(child)


def _known(name: str, known: Any, where: str) -> None:
    if name not in known:
        raise RecipeError(f"{where}: {name!r} is unknown; {nearest_names(name, known)}")
