"""Where the weights of a new run come from when they are not random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from omnimask.foundation.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A trained encoder that a new run takes weights from; a resumed run does not read it again.

    `encoder`: whatever `load_encoder` reads: the folder of a run, a checkpoint or an encoder.
    `modalities`: those whose tokenizers (embedding, positions, modality vector) and statistics are
    taken, by name; None is every one that the recipe and the encoder both have, () is none.
    `blocks`: takes the blocks, prefix tokens and final norm, which only one start of a recipe does.
    `which`: "teacher" takes the EMA of a run instead of its student.
    """

    encoder: str
    modalities: tuple[str, ...] | None = None
    blocks: bool = True
    which: Literal["student", "teacher"] = "student"

    def __post_init__(self) -> None:
        if not self.encoder:
            raise RecipeError(
                "start: encoder must be the path of a run, checkpoint or encoder folder, got ''; "
                "write for example --set start.0.encoder=runs/vit"
            )
        names = self.modalities or ()
        if len(set(names)) < len(names):
            raise RecipeError(f"start: modalities has a name twice: {names}; name each once")
        if not self.blocks and self.modalities == ():
            raise RecipeError(
                f"start: nothing is taken from {self.encoder}: blocks is False and modalities is "
                "(); write blocks=True, name modalities, or leave this start out"
            )


def read_starts(texts: Sequence[str]) -> tuple[Start, ...]:
    """Starts as a command line says them: "FOLDER", or "image,audio=FOLDER" for their tokenizers.

    The blocks come from the first. RecipeError for a folder or a name that is empty.
    """
    return tuple(_read(text, blocks=number == 0) for number, text in enumerate(texts))


def _read(text: str, *, blocks: bool) -> Start:
    names, said, folder = text.partition("=")
    if not said or "/" in names:  # a folder may have "=" in its name
        return Start(encoder=text, blocks=blocks)
    modalities = tuple(name.strip() for name in names.split(","))
    if not all(modalities):
        raise RecipeError(
            f"--start takes FOLDER or NAMES=FOLDER, got {text!r}; write for example "
            f"--start image,audio={folder or 'runs/vit'}"
        )
    return Start(encoder=folder, modalities=modalities, blocks=blocks)
