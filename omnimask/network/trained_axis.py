"""How the cells of a modality lie on the axes that its positions were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.tokens import Grid


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedAxis:
    """One axis of a grid whose cells are not those of pretraining.

    `cells`: how many cells pretraining had. `step`: the length of one cell of the modality in
    cells of pretraining; its cell i has its middle at (i + 0.5) * step - 0.5 of theirs.
    """

    cells: float
    step: float

    def __post_init__(self) -> None:
        if min(self.cells, self.step) <= 0:
            raise RecipeError(
                f"TrainedAxis: cells and step must be positive, got {self.cells} and {self.step}; "
                "leave the modality's `axes` at None, `adapt` sets it"
            )

    @property
    def extent(self) -> float:
        """The axis of pretraining, counted in cells of the modality."""
        return self.cells / self.step


Axes = tuple[TrainedAxis, ...]


def own_axes(cells: Sequence[int]) -> Axes:
    """Those of a grid on which pretraining took place itself."""
    return tuple(TrainedAxis(cells=float(size), step=1.0) for size in cells)


def axes_of(axes: Axes | None, grid: Grid) -> Axes:
    """What the `axes` of a modality with this grid stand for when None."""
    return axes or own_axes(tuple(grid.values()))


def continued_axes(
    name: str,
    old: Axes | None,
    grids: tuple[Grid, Grid],
    *,
    ratios: Sequence[float | None],
) -> tuple[Axes | None, tuple[str, ...]]:
    """Where the cells of a new grid stand on the axes of pretraining, given those of an old one.

    `grids`: the old and the new. `ratios` has per axis the length of a new cell in old ones where
    the axis runs on from its start (time), and None where the new cells together cover what the
    old ones covered: a picture resized, the same band of frequencies. Cells that would run on
    beyond what pretraining saw are squeezed into it, with a line: a place that was never trained
    means nothing, while places in between do. None for axes that say nothing.
    """
    axes, lines = [], []
    before, (old_grid, new_grid) = axes_of(old, grids[0]), grids
    for axis, (key, cells), ratio in zip(before, new_grid.items(), ratios, strict=True):
        kept = axis.step * (old_grid[key] / cells if ratio is None else ratio)
        step = min(kept, axis.cells / cells) if ratio is not None else kept
        axes.append(TrainedAxis(cells=axis.cells, step=step))
        if step < kept * (1 - 1e-9):
            lines.append(
                f"{name}: axis {key} runs on to {cells * kept:g} cells of pretraining, which had "
                f"{axis.cells:g}: positions are squeezed by {step / kept:.3g}"
            )
    own = own_axes(tuple(new_grid.values()))
    return (None if tuple(axes) == own else tuple(axes)), tuple(lines)


def extents(axes: Axes | None, grid: Grid) -> tuple[float, ...]:
    """The `extent` of a modality: of its own grid, or of pretraining's in its own cells."""
    return tuple(axis.extent for axis in axes_of(axes, grid))


def check_axes(owner: str, axes: Axes | None, grid: Grid) -> None:
    """RecipeError unless there is one for each axis of the grid."""
    if axes is not None and len(axes) != len(grid):
        raise RecipeError(
            f"{owner}: axes must have one TrainedAxis for each of {len(grid)} axes, got "
            f"{len(axes)}; write axes=None"
        )
