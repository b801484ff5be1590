"""Recipe: the record that holds everything a run is made of."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from omnimask.decoders.decoder import Decoder, check_hidden
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import set_paths
from omnimask.masking.hints import Hint, predicted_hints
from omnimask.masking.plan import Masker
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective
from omnimask.recipe.checks import (
    check_hints,
    check_late_targets,
    check_made_hints,
    check_objectives,
    check_start,
    check_streams,
    check_teacher,
)
from omnimask.recipe.settings import Data, Optim, Run
from omnimask.recipe.start import Start
from omnimask.recipe.teacher import FrozenTeacher, SnapshotTeacher, Teacher
from omnimask.tokens.modality import Modality

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Modalities, masker, encoder, decoders, objectives, data, optimisation and run.

    `hidden`: "drop" leaves hidden tokens out of the encoder (MAE), "replace" puts a mask token in
    their place (SimMIM). `hints` are made of the data, for maskers that ask for them by name.
    `teacher` is an EMA of the student, the student of a stage before, or another encoder. `start`:
    trained encoders that the weights begin as, instead of random ones. `seed` starts the other
    weights and every random choice of the run.
    """

    name: str
    modalities: tuple[Modality, ...]
    masker: Masker
    encoder: Encoder
    decoders: Mapping[str, Decoder]
    objectives: tuple[Objective, ...]
    data: Data
    optim: Optim
    hidden: Literal["drop", "replace"] = "drop"
    hints: Mapping[str, Hint] = field(default_factory=dict)
    teacher: Teacher | SnapshotTeacher | FrozenTeacher | None = None
    start: tuple[Start, ...] = ()
    run: Run = field(default_factory=Run)
    seed: int = 0

    def __post_init__(self) -> None:
        names = [modality.name for modality in self.modalities]
        if len(set(names)) < len(names):
            raise RecipeError(
                f"two modalities have the same name: {names}; give one another `name`"
            )
        check_streams(self.data.streams, names)
        check_objectives(self.objectives, names, self.decoders)
        check_late_targets(self.objectives, self.decoders, self.masker, self.encoder)
        predicted = predicted_hints(self.masker, self.hints)
        check_teacher(self.teacher, self.objectives, predicted, depth=self.teacher_encoder.depth)
        check_hints(predicted, self.teacher, self.objectives, self.modalities, self.hidden)
        check_made_hints(self.hints, self.masker, self.objectives, self.modalities)
        check_start(self.start, names)
        for name, decoder in self.decoders.items():
            check_hidden(decoder, name=name, hidden=self.hidden)
        for modality in self.modalities:
            self.masker.check(modality.grid, modality.name)

    @property
    def teacher_encoder(self) -> Encoder:
        """The encoder whose features targets read: a frozen teacher's own, else the student's."""
        if isinstance(self.teacher, FrozenTeacher) and self.teacher.encoder is not None:
            return self.teacher.encoder
        return self.encoder

    def modalities_reaching(self, decoder: str) -> tuple[Modality, ...]:
        """The modalities whose tokens a decoder meets: those it predicts, and their groups' others.

        A decoder with parameters for a modality that never reaches it would leave them unused.
        """
        predicted = {o.modality for o in self.objectives if o.decoder == decoder}
        reaching = {
            name
            for stream in self.data.streams
            if predicted & set(stream.files)
            for name in stream.files
        }
        return tuple(modality for modality in self.modalities if modality.name in reaching)

    def modality(self, name: str) -> Modality:
        return next(modality for modality in self.modalities if modality.name == name)

    def num_predicted(self, objective: Objective) -> int:
        """The width of an objective's predictions."""
        modality = self.modality(objective.modality)
        return objective.target.num_predicted(modality, self.teacher_encoder.width)


def override(recipe: R, assignments: Sequence[str]) -> R:
    """A copy with `path=value` assignments applied together, such as `optim.lr=1e-4`.

    Values are Python literals; what is not one is taken as a string.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set takes path=value, got {assignment!r}")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        changes[path.strip()] = value
    return set_paths(recipe, changes)
