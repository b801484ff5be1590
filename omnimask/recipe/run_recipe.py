"""What the records of all kinds of runs have in common: what data, loop and logs may ask of one."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from omnimask.recipe.settings import Data, Optim, Run
from omnimask.tokens.modality import Modality


@runtime_checkable
class Weighted(Protocol):
    """A part of the loss, as the loop sees it."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...


@runtime_checkable
class RunRecipe(Protocol):
    """A frozen record that says everything about one run; `Recipe` is that of pretraining."""

    @property
    def name(self) -> str: ...

    @property
    def modalities(self) -> tuple[Modality, ...]: ...

    @property
    def objectives(self) -> Sequence[Weighted]:
        """The parts of the loss by their names among the model's sums; others have weight 1."""
        ...

    @property
    def data(self) -> Data: ...

    @property
    def optim(self) -> Optim: ...

    @property
    def run(self) -> Run: ...

    @property
    def seed(self) -> int: ...

    def modality(self, name: str, /) -> Modality: ...
