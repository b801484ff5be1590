"""Teachers: a slow copy of the student (EMA), or a network that another run has trained."""

from dataclasses import dataclass

from omnimask.decoders import Decoder
from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder
from omnimask.tokens.modality import Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """An EMA of the student. Its decay per step rises linearly from `decay` to `final_decay` over
    `ramp`, a share of the run (data2vec, https://arxiv.org/abs/2202.03555, section 3.3).
    """

    decay: float = 0.996
    final_decay: float = 1.0
    ramp: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay <= self.final_decay <= 1.0:
            raise RecipeError(
                "teacher: expected 0 <= decay <= final_decay <= 1, got "
                f"decay={self.decay}, final_decay={self.final_decay}"
            )

    def decay_at(self, progress: float) -> float:
        """The decay after `progress` (0 to 1) of the run."""
        share = 1.0 if self.ramp <= 0.0 else min(progress / self.ramp, 1.0)
        return self.decay + (self.final_decay - self.decay) * share


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotTeacher:
    """The student as it was when the present stage began; the first is its random start.

    At each of the shares `at` of the run the teacher takes the student's weights and the student
    begins anew, with weights drawn from the seed and the stage; the optimizer's state and the
    schedule go on. dBOT, https://arxiv.org/abs/2209.03917, section 3.
    """

    at: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if not all(0.0 < share < 1.0 for share in self.at) or list(self.at) != sorted(self.at):
            raise RecipeError(
                f"teacher.at must be rising shares of the run in (0, 1), got {self.at}; write "
                "(0.5,) for two stages"
            )

    def stage_begun(self, step: int, steps: int) -> int | None:
        """The stage, 1 or later, that begins when `step` of `steps` steps are done, if one does."""
        begun = [number for number, at in enumerate(self.at, 1) if round(at * steps) == step]
        return begun[-1] if begun else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenTeacher:
    """The encoder of a finished run, which never changes; it sees every token.

    `run`: its run folder, or the folder of an encoder that was imported or exported. The other
    fields are filled from there when training starts: its encoder, its modalities (with their own
    patch sizes and statistics; the token grids must be the student's) and, with `decoder`, the name
    of the decoder of that run that holds a codebook, the `codebook`'s record. Once a run has
    started its checkpoints hold the teacher's weights too. Without `run` it is the student's own
    random start, frozen (with a random codebook if one is given): for tests, and to measure what
    random features are worth as targets.
    """

    run: str | None = None
    decoder: str | None = None
    encoder: Encoder | None = None
    modalities: tuple[Modality, ...] = ()
    codebook: Decoder | None = None

    def __post_init__(self) -> None:
        if self.decoder is not None and self.run is None:
            raise RecipeError(
                f"teacher.decoder={self.decoder!r} names a decoder of teacher.run, which is None; "
                "set run, or codebook=QuantisedDecoder(...) for a random one"
            )

    @property
    def is_filled(self) -> bool:
        """Whether everything that `run` tells is known."""
        return self.run is None or self.encoder is not None
