"""What a token does next: differences of its values along an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Grid, TeacherOutput, Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The next step minus this one, for each of a token's `steps` along `axis`, which its values
    run over first (frames of a tubelet, steps of a series); zero at the last step of the axis.

    The last step of a token needs the token after it: where that is not there, or a gap, the
    target is not known. `norm="token"` subtracts the mean and divides by the deviation of the
    token's values, as `Content` does. MAMP, https://arxiv.org/abs/2308.07092, section 3.2: motion
    with stride 1, and `norm_skes_loss` of its code. Nothing is restored from it.
    """

    steps: int
    axis: str = "t"
    norm: Literal["none", "token"] = "token"

    @property
    def teacher_layers(self) -> tuple[TeacherOutput, ...]:
        return ()

    def num_predicted(self, modality: Modality, teacher_dim: int, /) -> int:
        if self.axis not in (modality.grid or {}):
            raise RecipeError(
                f"Change.axis must be an axis of {modality.name!r}, which has the grid "
                f"{modality.grid}, got {self.axis!r}"
            )
        if self.steps < 1 or modality.num_values % self.steps:
            raise RecipeError(
                f"Change.steps must divide the {modality.num_values} values of a "
                f"{modality.name!r} token, got {self.steps}; write how many steps along "
                f"{self.axis!r} a token has"
            )
        return modality.num_values

    def known(self, tokens: Tokens, /) -> Bool[Tensor, "b n"]:
        there, axis = self._first(tokens, tokens.scorable)
        after = torch.cat([there[:, 1:], torch.ones_like(there[:, :1])], dim=1)
        return (there & after).movedim(1, axis).flatten(1)

    def __call__(
        self, modality: Modality, tokens: Tokens, teacher: Sequence[Tensor] = (), /
    ) -> Float[Tensor, "b n t"]:
        values, axis = self._first(tokens, tokens.values.float())
        steps = rearrange(values, "b t ... (s k) -> b (t s) ... k", s=self.steps)
        change = torch.cat([steps.diff(dim=1), torch.zeros_like(steps[:, :1])], dim=1)
        change = rearrange(change, "b (t s) ... k -> b t ... (s k)", s=self.steps)
        target = change.movedim(1, axis).flatten(1, len(_grid(tokens)))
        if self.norm == "none":
            return target
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        return (target - mean) / (variance + 1e-6).sqrt()

    def _first(self, tokens: Tokens, of_tokens: Tensor) -> tuple[Tensor, int]:
        """(b n ...) on the grid, with the axis brought to the front; and where it belongs."""
        grid = _grid(tokens)
        axis = 1 + list(grid).index(self.axis)
        return of_tokens.unflatten(1, tuple(grid.values())).movedim(axis, 1), axis


def _grid(tokens: Tokens) -> Grid:
    assert tokens.grid is not None, "num_predicted refuses modalities without this axis"
    return tokens.grid
