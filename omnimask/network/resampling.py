"""Weights for patches, channels and grids of another size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.positions import interpolate_rows
from omnimask.network.trained_axis import Axes, axes_of
from omnimask.tokens.tokens import Grid

State = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampled:
    """The weights of one module, by name, and a line for each thing that was changed."""

    state: State
    lines: tuple[str, ...] = field(default=())


def resize_matrix(old: int, new: int) -> Float[Tensor, "new old"]:
    """Resizing along one axis, bicubic with an antialiasing filter, as a matrix; float64."""
    # Four equal columns: of pictures one pixel wide, torch 2.13 resizes with wrong weights.
    basis = torch.eye(old, dtype=torch.float64)[:, None, :, None].repeat(1, 1, 1, 4)
    resized = torch.nn.functional.interpolate(
        basis, size=(new, 4), mode="bicubic", antialias=True, align_corners=False
    )
    return resized[:, 0, :, 0].T


def resample_kernel(
    weight: Float[Tensor, "d v"], old: Sequence[int], new: Sequence[int]
) -> Float[Tensor, "d w"]:
    """A linear layer on patches of `old` (..., rows, columns, channels) for patches of `new`.

    FlexiViT's pseudo-inverse resize, https://arxiv.org/abs/2212.08013, section 3.4, along each
    axis but the last, of any number of axes (resizing is separable, and so is its pseudo-inverse):
    a patch that was resized upwards gives exactly the old layer's output, and the nearest to it in
    the mean over patches of white noise where information is lost. Bicubic as in timm's
    `resample_patch_embed`; the paper's code is bilinear. The number of channels stays.
    """
    kernel = weight.double().unflatten(1, tuple(old))
    for axis, (was, becomes) in enumerate(zip(old[:-1], new[:-1], strict=True), start=1):
        if was != becomes:
            inverse = torch.linalg.pinv(resize_matrix(was, becomes)).to(kernel.device)
            kernel = (kernel.movedim(axis, -1) @ inverse).movedim(-1, axis)
    return kernel.flatten(1).to(weight.dtype)


def resample_channels(weight: Float[Tensor, "d v"], *, old: int, new: int) -> Float[Tensor, "d w"]:
    """A linear layer on values whose last axis are `old` channels, for `new` channels.

    One channel sums the old ones; more repeat them in turn, times old / new: what timm's
    `adapt_input_conv` does, there for three channels. Equal channels give the old output.
    """
    if old == new:
        return weight
    kernel = weight.unflatten(1, (-1, old))
    if new == 1:
        return kernel.sum(dim=2)
    repeated = kernel.repeat(1, 1, -(-new // old))[:, :, :new]
    return (repeated * (old / new)).flatten(1)


def resample_linear(
    name: str, state: State, *, old: tuple[int, ...], new: tuple[int, ...]
) -> Resampled:
    """The state of an `nn.Linear` on patches of `old` sizes, channels last, for `new` ones."""
    lines, weight = [], state["weight"]
    if old[:-1] != new[:-1]:
        weight = resample_kernel(weight, old, (*new[:-1], old[-1]))
        lines.append(
            f"{name}: patch embedding resampled from {times(old[:-1])} to {times(new[:-1])} "
            "(pseudo-inverse resize)"
        )
    if old[-1] != new[-1]:
        weight = resample_channels(weight, old=old[-1], new=new[-1])
        how = "summed" if new[-1] == 1 else f"repeated in turn, times {old[-1]}/{new[-1]}"
        lines.append(f"{name}: weights of {old[-1]} channels {how} for {new[-1]}")
    return Resampled(state={**state, "weight": weight}, lines=tuple(lines))


def resample_positions(
    name: str, state: State, *, axes: tuple[Axes | None, Axes | None], grids: tuple[Grid, Grid]
) -> Resampled:
    """The vectors of a `LearnedPosition` or `TablePosition` for another grid; nothing to do for
    fixed waves.

    `axes` and `grids`: of the old modality and of the new one.

    Each axis of learned positions is read at the places of the new cells, linearly between two old
    ones, which is what the old module gives at those coordinates; a table of cells is resized as
    in `_resize_axis`. The line says so for every kind of positions.
    """
    old, new = (axes_of(axis, grid) for axis, grid in zip(axes, grids))
    cells = tuple(grids[1].values())
    if old == new and grids[0] == grids[1]:
        return Resampled(state=state)
    tables = dict(state)
    for axis, (was, becomes, size) in enumerate(zip(old, new, cells, strict=True)):
        if f"tables.{axis}" in state:
            table = state[f"tables.{axis}"]
            tables[f"tables.{axis}"] = _read_table(table, becomes.step / was.step, size)
    if "table" in state:
        table = state["table"].unflatten(0, tuple(grids[0].values()))
        for axis, (was, becomes, size) in enumerate(zip(old, new, cells, strict=True)):
            table = _resize_axis(table, axis, step=becomes.step / was.step, size=size)
        tables["table"] = table.flatten(0, -2)
    covered = [min(size * axis.step, axis.cells) for size, axis in zip(cells, new)]
    kind = "learned positions interpolated" if state else "coordinates of positions rescaled"
    line = (
        f"{name}: {kind}: {times(cells)} cells stand on {times(covered)} of the "
        f"{times([axis.cells for axis in new])} cells of pretraining"
    )
    return Resampled(state=tables, lines=(line,))


def _read_table(table: Float[Tensor, "n d"], step: float, size: int) -> Float[Tensor, "m d"]:
    places = (torch.arange(size, device=table.device) + 0.5) * step - 0.5
    return interpolate_rows(table, places)


def _resize_axis(
    table: Float[Tensor, "*grid d"], axis: int, *, step: float, size: int
) -> Float[Tensor, "*cells d"]:
    """One axis of a table of cells, for `size` cells that are `step` old ones long.

    Bicubic with an antialiasing filter where the new cells together cover the old ones, as in
    timm's `resample_abs_pos_embed` (resizing is separable); else they are read linearly.
    """
    old = table.shape[axis]
    rows = table.movedim(axis, 0)
    if (old, step) == (size, 1.0):
        return table
    if abs(size * step - old) < 1e-6:
        matrix = resize_matrix(old, size).to(table.device)
        resized = (matrix @ rows.double().flatten(1)).to(table.dtype)
    else:
        resized = _read_table(rows.flatten(1), step, size)
    return resized.unflatten(1, rows.shape[1:]).movedim(0, axis)


def times(sizes: Sequence[int] | Sequence[float]) -> str:
    """2x16x16"""
    return "x".join(f"{size:g}" for size in sizes)


Numbers = tuple[float, ...]


def kept_statistics(
    name: str, what: str, given: Numbers | None, old: Numbers | None, *, num_channels: int
) -> tuple[Numbers | None, tuple[str, ...]]:
    """Means or deviations (`what`) of a modality's channels: those `given`, else the old ones.

    Where the number of channels changed, each gets the average of the old ones.
    """
    if given is not None:
        changed = given != old
        said = f"{name}: {what} as given, {_rounded(given)}, instead of pretraining's"
        return given, (said,) if changed else ()
    if old is None or len(old) == num_channels:
        return old, ()
    averages = (sum(old) / len(old),) * num_channels
    return averages, (f"{name}: {what} the average over pretraining's channels, {averages[0]:.3g}",)


def _rounded(numbers: Numbers) -> str:
    return " ".join(f"{number:.3g}" for number in numbers)


def check_kept(name: str, field: str, *, old: object, new: object) -> None:
    """RecipeError where a field differs that has no way from the one to the other."""
    if old != new:
        raise RecipeError(
            f"{name}: {field} was {old!r} in pretraining and cannot be adapted to {new!r}; write "
            f"{field}={old!r}"
        )
