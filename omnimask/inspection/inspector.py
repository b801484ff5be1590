"""What a modality says of files that it has never seen, so that a recipe can be chosen for them.

A modality's package offers it as `INSPECTOR` in its module `inspecting`; one without is not known
to `omnimask inspect`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omnimask.decoders import Decoder
from omnimask.masking.plan import Masker
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Loss
from omnimask.objectives.targets import Target
from omnimask.recipe.settings import Optim
from omnimask.tokens.modality import Files, Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look at one file found. `facts`: numbers by what they are, with the unit.

    `variant`: files of different variants cannot be samples of one modality ("3 channels").
    `fit`: how sure it is that the file is of this modality, where several read its suffix.
    `also`: modalities that the same file holds too, such as the sound of a clip.
    `words`: what else is worth knowing, by what it is.
    """

    facts: Mapping[str, int | float]
    variant: str = ""
    fit: float = 1.0
    also: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What the device affords. `large` sizes are those of the papers, others are for CPUs.

    `step_tokens`: tokens of a step of one process, hidden ones included.
    """

    device: str
    large: bool
    step_tokens: int
    encoder: Encoder
    decoder: Decoder
    optim: Optim
    num_workers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """How a modality would be pretrained. `content`: of each objective what, target and loss.

    `reasons`: a line for each choice, for people.
    """

    modality: Modality
    masker: Masker
    content: tuple[tuple[str, Target, Loss], ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspector:
    """`suffixes`: lower case, with the dot. `look`: at one file; DataError for a broken one,
    RecipeError where a package is missing. `propose`: from looks at whole files, none of another
    variant. `files`: the record that reads the files below a path, for what was proposed.
    """

    name: str
    suffixes: Collection[str]
    look: Callable[[Path], Look]
    propose: Callable[[Sequence[Look], Budget], Proposal]
    files: Callable[[str, Sequence[Look], Modality], Files]


def median(looks: Sequence[Look], fact: str) -> int | float:
    """The middle one of a fact's values."""
    values = sorted(look.facts[fact] for look in looks)
    return values[len(values) // 2]


def power_of_two(number: int | float) -> int:
    """The largest power of two that is not above a number of at least one."""
    return 1 << (int(number).bit_length() - 1)
