"""The EMA teacher: a slow copy of the backbone that sees every token."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from omnimask.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """Configuration: decay per step rises linearly from `decay` to `final_decay` over `ramp`, a
    share of the run (data2vec, https://arxiv.org/abs/2202.03555, section 3.3).
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


def copy_as_teacher(student: nn.Module) -> nn.Module:
    """A copy that never trains: no gradients, always in evaluation mode."""
    return copy.deepcopy(student).requires_grad_(False).eval()


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher = decay * teacher + (1 - decay) * student, parameters and floating buffers alike."""
    pairs = [
        (slow, fast.detach())
        for slow, fast in zip(
            [*teacher.parameters(), *teacher.buffers()],
            [*student.parameters(), *student.buffers()],
            strict=True,
        )
        if slow.is_floating_point()
    ]
    slow, fast = [slow for slow, _ in pairs], [fast for _, fast in pairs]
    # One kernel for all tensors; torch's own EMA (swa_utils) calls the same function.
    torch._foreach_lerp_(slow, fast, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]
