"""What the parts of a recipe must satisfy together, checked before anything is read or built."""

from collections.abc import Mapping, Sequence
from typing import Any

from omnimask.decoders.decoder import Decoder, HasCodebook, OfOneModality
from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.records import records_in
from omnimask.masking.hints import Hint, asked_hints
from omnimask.masking.plan import Copying, Masker
from omnimask.network.encoder import Encoder
from omnimask.objectives.heads import SharedHead
from omnimask.objectives.late_targets import LateTarget, OtherCopy
from omnimask.objectives.objective import Objective
from omnimask.objectives.targets import TeacherCodes
from omnimask.recipe.settings import Stream
from omnimask.recipe.start import Start
from omnimask.recipe.teacher import FrozenTeacher, SnapshotTeacher, Teacher
from omnimask.tokens.modality import Modality


def check_streams(streams: Sequence[Stream], names: Sequence[str]) -> None:
    """Streams and modalities know one another."""
    used: set[str] = set()
    for stream in streams:
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


def check_objectives(
    objectives: Sequence[Objective], names: Sequence[str], decoders: Mapping[str, Decoder]
) -> None:
    """Every objective has a modality and a decoder of it, every decoder an objective."""
    seen: list[Objective] = []
    for objective in objectives:
        where = f"objective {objective.name}"
        if objective.name in [other.name for other in seen]:
            raise RecipeError(f"two objectives are called {objective.name!r}; rename one")
        _known(objective.modality, names, f"{where}: modality")
        _known(objective.decoder, decoders, f"{where}: decoder")
        decoder = decoders[objective.decoder]
        if isinstance(decoder, OfOneModality) and decoder.modality != objective.modality:
            raise RecipeError(
                f"{where}: modality is {objective.modality!r}, but decoders[{objective.decoder!r}]"
                f".modality is {decoder.modality!r}; give the objective a decoder of its own "
                "modality"
            )
        seen.append(objective)
    for objective in objectives:
        if isinstance(objective.head, SharedHead):
            _check_shared(objective, objective.head, objectives)
    if unused := set(decoders) - {o.decoder for o in objectives}:
        raise RecipeError(f"no objective uses decoders {sorted(unused)}; leave them out")


def _check_shared(objective: Objective, head: SharedHead, objectives: Sequence[Objective]) -> None:
    where = f"objective {objective.name}: head.objective"
    owners = {o.name: o for o in objectives if not isinstance(o.head, SharedHead)}
    _known(head.objective, owners, f"{where} (objectives with a head of their own)")
    if owners[head.objective].modality != objective.modality:
        raise RecipeError(
            f"{where}: {head.objective!r} is of {owners[head.objective].modality}, not of "
            f"{objective.modality}; share the head of an objective of that modality"
        )


def check_late_targets(
    objectives: Sequence[Objective],
    decoders: Mapping[str, Decoder],
    masker: Masker,
    encoder: Encoder,
) -> None:
    """What a late target reads is there, and is evaluated before it."""
    for number, objective in enumerate(objectives):
        if isinstance(objective.target, LateTarget):
            _check_late(objective, objective.target, objectives[:number], decoders)
        if isinstance(objective.target, OtherCopy):
            _check_other_copy(objective, objective.target, decoders, masker, encoder)


def _check_late(
    objective: Objective,
    target: LateTarget,
    before: Sequence[Objective],
    decoders: Mapping[str, Decoder],
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
        _known(target.decoder_read, decoders, f"{where}.decoder")


def _check_other_copy(
    objective: Objective,
    target: OtherCopy,
    decoders: Mapping[str, Decoder],
    masker: Masker,
    encoder: Encoder,
) -> None:
    where = f"objective {objective.name}: OtherCopy"
    width = decoders[target.decoder].output_width(encoder)
    if width != target.width:
        raise RecipeError(
            f"{where}.width must be the width of decoders[{target.decoder!r}], {width}, got "
            f"{target.width}; write width={width}"
        )
    copies = [part.copies for part in records_in(masker) if isinstance(part, Copying)]
    if copies != [2]:
        raise RecipeError(
            f"{where} compares two masks of each sample, but recipe.masker draws "
            f"{copies or 'one'}; write masker=Copies(masker=..., copies=2)"
        )


def check_teacher(
    teacher: Teacher | SnapshotTeacher | FrozenTeacher | None,
    objectives: Sequence[Objective],
    predicted_hints: Sequence[str],
    *,
    depth: int,
) -> None:
    """There is a teacher where one is read, with what is read of it; `depth` is its encoder's."""
    for objective in objectives:
        where = f"objective {objective.name}: {type(objective.target).__name__}"
        layers = objective.target.teacher_layers
        if layers and teacher is None:
            raise RecipeError(
                f"{where} reads a teacher, but recipe.teacher is None; write teacher=Teacher()"
            )
        if "codes" in layers:
            _check_codes(teacher, where, objective.target)
        filled = not isinstance(teacher, FrozenTeacher) or teacher.is_filled
        if filled and any(n != "codes" and not -depth <= n <= 0 for n in layers):
            raise RecipeError(
                f"{where}: teacher layers count from the last, -1 to -{depth} (encoder.depth), or "
                f"0 for the normalised output, got {layers}"
            )
    reads = any(o.target.teacher_layers for o in objectives) or predicted_hints
    if teacher is not None and not reads:
        raise RecipeError("recipe.teacher is set, but no objective's target or masker reads it")


def _check_codes(teacher: object, where: str, target: object) -> None:
    if not isinstance(teacher, FrozenTeacher) or not (teacher.decoder or teacher.codebook):
        raise RecipeError(
            f"{where} reads codes, but recipe.teacher has no codebook; write teacher=FrozenTeacher("
            "run=..., decoder=...) with a run that trained one"
        )
    codebook = teacher.codebook
    known = codebook.num_codes if isinstance(codebook, HasCodebook) else None
    if isinstance(target, TeacherCodes) and known not in (None, target.num_codes):
        source = f" (teacher.run={teacher.run!r})" if teacher.run is not None else ""
        raise RecipeError(
            f"{where}.num_codes is {target.num_codes}, teacher.codebook.num_codes is {known}"
            f"{source}; write num_codes={known} in the target"
        )


def check_hints(
    hints: Sequence[str],
    teacher: Teacher | SnapshotTeacher | FrozenTeacher | None,
    objectives: Sequence[Objective],
    modalities: Sequence[Modality],
    hidden: str,
) -> None:
    """An EMA teacher predicts these hints that the masker asks for, one number per token."""
    for hint in hints:
        where = f"recipe.masker asks for the hint {hint!r}"
        if not isinstance(teacher, Teacher):
            raise RecipeError(
                f"{where}, which an EMA teacher predicts, but recipe.teacher is "
                f"{type(teacher).__name__ if teacher else None}; write "
                "teacher=Teacher(), name it in recipe.hints, or use RandomMask"
            )
        _known(hint, [o.name for o in objectives], f"{where}: objective")
        objective = next(o for o in objectives if o.name == hint)
        modality = next(m for m in modalities if m.name == objective.modality)
        width = objective.target.num_predicted(modality, 1)
        if isinstance(objective.head, SharedHead):
            raise RecipeError(f"{where}, whose objective must have a head of its own")
        if width != 1 or hidden != "drop":
            raise RecipeError(
                f"{where}, but objective {hint!r} predicts {width} numbers per token with "
                f"hidden={hidden!r}; a hint is one number from a decoder with hidden='drop'"
            )


def check_made_hints(
    hints: Mapping[str, Hint],
    masker: Masker,
    objectives: Sequence[Objective],
    modalities: Sequence[Modality],
) -> None:
    """Hints that are made of the data are asked for, have names of their own and say something."""
    for name, hint in hints.items():
        if name not in asked_hints(masker):
            raise RecipeError(
                f"recipe.hints has {name!r}, but recipe.masker asks for "
                f"{', '.join(asked_hints(masker)) or 'none'}; leave it out"
            )
        if name in [objective.name for objective in objectives]:
            raise RecipeError(
                f"recipe.hints and an objective are both called {name!r}; rename the hint"
            )
        if not any(hint.fits(modality.grid) for modality in modalities):
            raise RecipeError(
                f"recipe.hints: {name!r} ({hint}) says nothing of any modality: "
                f"{', '.join(f'{m.name} has the grid {m.grid}' for m in modalities)}"
            )


def check_start(starts: Sequence[Start], names: Sequence[str]) -> None:
    """Starts name known modalities, each once, and one gives its blocks."""
    givers: dict[str, int] = {}
    for number, start in enumerate(starts):
        for name in start.modalities or ():
            _known(name, names, f"start.{number}.modalities")
            if name in givers:
                raise RecipeError(
                    f"start.{givers[name]} and start.{number} both give {name!r}; name it in one"
                )
            givers[name] = number
    with_blocks = [number for number, start in enumerate(starts) if start.blocks]
    if len(with_blocks) > 1:
        raise RecipeError(
            f"start: {with_blocks} all give their blocks, expected one; write blocks=False in the "
            f"others: --set start.{with_blocks[1]}.blocks=False"
        )


def _known(name: str, known: Any, where: str) -> None:
    if name not in known:
        raise RecipeError(f"{where}: {name!r} is unknown; {nearest_names(name, known)}")
