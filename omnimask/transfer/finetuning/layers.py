"""Which layer a parameter belongs to, and what follows from it: rates, freezing, thawing."""

import re
from collections.abc import Sequence

from torch import nn

from omnimask.transfer.finetuning.recipe import Freeze

_BLOCK = re.compile(r"^backbone\.encoder\.blocks\.(\d+)\.")


def layer_of(name: str, depth: int) -> int:
    """0 for embeddings, positions and prefix tokens, 1 to `depth` for the blocks, then the rest."""
    block = _BLOCK.match(name)
    if block:
        return int(block.group(1)) + 1
    if name.startswith("backbone.") and not name.startswith("backbone.encoder.norm."):
        return 0
    return depth + 1


def rate_scale(name: str, *, depth: int, decay: float) -> float:
    """decay to the power of the layers above: 1 for the head."""
    return decay ** (depth + 1 - layer_of(name, depth))


def is_frozen(name: str, frozen: Freeze, depth: int) -> bool:
    """Whether a parameter never learns."""
    if frozen.encoder:
        return name.startswith("backbone.")
    return frozen.blocks > 0 and layer_of(name, depth) <= frozen.blocks


def has_thawed(name: str, frozen: Freeze, *, depth: int, progress: float) -> bool:
    """Whether a layer learns at `progress` of the run; layer l begins at thaw * (L - l) / L, or the
    whole encoder at `until`."""
    if frozen.until:
        return progress >= frozen.until or not name.startswith("backbone.")
    begins = frozen.thaw * (depth + 1 - layer_of(name, depth)) / (depth + 1)
    return progress >= begins


def is_unread(name: str, layers: Sequence[int], depth: int) -> bool:
    """Whether no output of the blocks `layers`, counted from the last (-1), depends on it."""
    if not layers or not name.startswith("backbone."):
        return False
    return layer_of(name, depth) > max(layer % depth for layer in layers) + 1


def freeze(model: nn.Module, frozen: Freeze, depth: int, *, layers: Sequence[int] = ()) -> None:
    """Takes frozen parameters out of training, and those that a head which reads `layers` does not
    depend on, since several processes wait for one another's gradients."""
    for name, parameter in model.named_parameters():
        if is_frozen(name, frozen, depth) or is_unread(name, layers, depth):
            parameter.requires_grad_(False)
