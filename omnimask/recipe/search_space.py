"""What a search may set a field to: a range or a list of values."""

from dataclasses import dataclass
from typing import Literal

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.grid import read_axis

_EXAMPLES = "optim.lr=log:1e-4:3e-3, masker.ratio=0.5:0.9, encoder.depth=int:2:6 or act=gelu,relu"


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """One field's values: `low` to `high`, both included, or one of `choices` as they are set."""

    path: str
    kind: Literal["float", "log", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()

    def assignment(self, value: object) -> str:
        """What `--set` takes; floats with six digits, which is what is trained with."""
        if self.kind == "choice":
            return f"{self.path}={value}"
        return f"{self.path}={value}" if self.kind == "int" else f"{self.path}={value:.6g}"

    @property
    def ends(self) -> tuple[str, ...]:
        """Assignments that show whether the recipe can have the field's values."""
        if self.kind == "choice":
            return tuple(self.assignment(choice) for choice in self.choices)
        whole = self.kind == "int"
        return tuple(self.assignment(int(x) if whole else x) for x in (self.low, self.high))


def read_space(said: str) -> Space:
    """The space of `field=low:high`, `field=log:low:high`, `field=int:low:high` or `field=a,b`.

    RecipeError naming what is wrong.
    """
    path, equals, text = said.partition("=")
    if not equals or not path.strip() or not text.strip():
        raise RecipeError(f"--search takes a field and its values, got {said!r}; write {_EXAMPLES}")
    parts = text.split(":")
    if len(parts) == 1:
        choices = tuple(choice.partition("=")[2] for choice in read_axis(said))
        return Space(path=path.strip(), kind="choice", choices=choices)
    kind = parts.pop(0).strip() if len(parts) == 3 else "float"
    if kind not in ("float", "log", "int") or len(parts) != 2:
        raise RecipeError(f"--search {said}: {text!r} is no range; write {_EXAMPLES}")
    try:
        low, high = (int(part) if kind == "int" else float(part) for part in parts)
    except ValueError as error:
        what = "a whole number" if kind == "int" else "a number"
        raise RecipeError(f"--search {said}: each end is {what} ({error})") from error
    if not low < high:
        raise RecipeError(f"--search {said}: the first end must be below the second")
    if kind == "log" and low <= 0:
        raise RecipeError(f"--search {said}: a logarithmic range begins above 0, got {low:g}")
    return Space(path=path.strip(), kind=kind, low=low, high=high)
