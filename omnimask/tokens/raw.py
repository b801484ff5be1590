"""The parts of collated samples by name: tensors, and integers that stay on the host."""

from torch import Tensor

from omnimask.tokens.tokens import Raw


def tensor_of(raw: Raw, name: str) -> Tensor:
    """A part that is a tensor, on the device of the batch."""
    part = raw[name]
    assert isinstance(part, Tensor), f"{name} holds integers of the host"
    return part


def integers_of(raw: Raw, name: str) -> tuple[int, ...]:
    """A part that has one integer per sample, on the host."""
    part = raw[name]
    assert isinstance(part, tuple), f"{name} is a tensor"
    return part
