"""What `omnimask impute` is asked for, and what it did."""

from dataclasses import dataclass
from pathlib import Path

from omnimask.foundation.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Hide:
    """What of a file is hidden from the model and then predicted.

    One of: `mask`, a picture of the same size, white where it is hidden; `ratio`, the share of all
    tokens, drawn by `seed`; `box`, two corners, in pixels (left, top, right, bottom) or in the
    units of a cloud (x, y, z, x, y, z); `seconds`, from and to, counted from the start of the
    recording. A box and seconds together hide the box during that time.
    """

    mask: Path | None = None
    ratio: float | None = None
    box: tuple[float, ...] | None = None
    seconds: tuple[float, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.given
        if len(given) != 1 and given != ("box", "seconds"):
            raise RecipeError(
                f"what is hidden is said in one way, got {', '.join(given) or 'none'}; give "
                "--mask, --ratio, --hide-box or --hide-seconds (only the last two go together)"
            )
        if self.ratio is not None and not 0.0 < self.ratio < 1.0:
            raise RecipeError(f"ratio must be in (0, 1), got {self.ratio}; write 0.5 for one half")
        if self.seconds is not None and not 0.0 <= self.seconds[0] < self.seconds[1]:
            raise RecipeError(
                f"hide-seconds must be FROM-TO with 0 <= FROM < TO, got {self.seconds}; write 0.5-1"
            )

    @property
    def given(self) -> tuple[str, ...]:
        names = ("mask", "ratio", "box", "seconds")
        values = (self.mask, self.ratio, self.box, self.seconds)
        return tuple(name for name, value in zip(names, values) if value is not None)

    def only(self, modality: str, *known: str) -> None:
        """RecipeError where something is given that a modality has no meaning for."""
        strange = [name for name in self.given if name not in known]
        if strange:
            raise RecipeError(
                f"{modality}: {' and '.join(strange)} cannot say what is hidden; it takes "
                f"{', '.join(known)}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """`path` is imputed into `out`. `hide` is None for a table, whose own gaps are filled.

    Of tables: `draws` and `draw_share` (see MaskDraws), `keep`, `delimiter`, `encoding`.
    """

    path: Path
    out: Path
    hide: Hide | None = None
    draws: int = 10
    draw_share: float = 0.3
    seed: int = 0
    keep: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str = "utf-8"

    def hidden(self, modality: str) -> Hide:
        """What is hidden; RecipeError where it was not said."""
        if self.hide is None:
            raise RecipeError(
                f"{self.path}: say what of this {modality} is hidden: --mask, --ratio, --hide-box "
                "or --hide-seconds"
            )
        return self.hide


@dataclass(frozen=True, kw_only=True, slots=True)
class Imputation:
    """The files that were written, the first being the one asked for, and what to know of them."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
