"""Weights of another library's model under our names, by a map that must miss no parameter.

A map says for each of our parameters from which of theirs it comes. The conversions only reorder
and stack, so that the same map takes their gradients to ours.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOLERANCE = 1e-5  # in fp32; of the largest entry of each gradient


def stacked(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


def flattened(vector: Tensor) -> Tensor:
    """(1, 1, d) -> (d)."""
    return vector.flatten()


def first_row(vector: Tensor) -> Tensor:
    """(1, 1, d) -> (1, d)."""
    return vector[0]


def from_convolution(kernel: Tensor) -> Tensor:
    """Their kernels are (d, channels, *place); our values have the channels fastest."""
    return kernel.movedim(1, -1).flatten(1)


def without_key_bias(query: Tensor, value: Tensor) -> Tensor:
    return torch.cat([query, torch.zeros_like(query), value])


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The parameters of theirs that make one of ours, and how."""

    names: tuple[str, ...]
    convert: Callable[..., Tensor] = stacked


KeyMap = Mapping[str, Origin]


def renamed(pairs: Mapping[str, str]) -> dict[str, Origin]:
    """Weight and bias of modules that differ in name only, {ours: theirs}."""
    return {
        f"{ours}.{part}": Origin(names=(f"{theirs}.{part}",))
        for ours, theirs in pairs.items()
        for part in ("weight", "bias")
    }


def vit_block(ours: str, theirs: str) -> dict[str, Origin]:
    """One block of transformers' ViT and ViTMAE."""
    projections = [f"{theirs}.attention.{name}_proj" for name in "qkv"]
    names = {
        f"{ours}.norm1": f"{theirs}.layernorm_before",
        f"{ours}.attn.proj": f"{theirs}.attention.o_proj",
        f"{ours}.norm2": f"{theirs}.layernorm_after",
        f"{ours}.mlp.fc1": f"{theirs}.mlp.fc1",
        f"{ours}.mlp.fc2": f"{theirs}.mlp.fc2",
    }
    stacks = {
        f"{ours}.attn.qkv.{part}": Origin(names=tuple(f"{name}.{part}" for name in projections))
        for part in ("weight", "bias")
    }
    return renamed(names) | stacks


def randomise(model: nn.Module, *, seed: int) -> None:
    """Sets every parameter, so that none is zero or one and a wrong name shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = name.endswith("weight") and parameter.dim() == 1
            noise = 0.2 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise + 1.0 if is_scale else noise)


def copy_weights(
    ours: nn.Module,
    theirs: nn.Module,
    key_map: KeyMap,
    *,
    extras: Collection[str] = (),
    tables: Collection[str] = (),
) -> None:
    """Gives ours the weights of theirs.

    `extras`: parameters that only we have; left as they are. `tables`: position tables that only
    they have as parameters; the caller writes into them what we compute. AssertionError if any
    other parameter of either model is not in the map.
    """
    our_parameters, their_parameters = (dict(m.named_parameters()) for m in (ours, theirs))
    assert set(our_parameters) == {*key_map, *extras}
    used = [name for origin in key_map.values() for name in origin.names]
    assert sorted(their_parameters) == sorted([*used, *tables])
    with torch.no_grad():
        for name, origin in key_map.items():
            value = origin.convert(*(their_parameters[part] for part in origin.names))
            assert value.shape == our_parameters[name].shape, name
            our_parameters[name].copy_(value)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """By name; AssertionError if a parameter has none."""
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad
    return found


def gradient_errors(
    ours: nn.Module, theirs: nn.Module, key_map: KeyMap, *, extras: Mapping[str, Tensor]
) -> dict[str, float]:
    """The largest difference of each of our parameters' gradients, over the largest gradient.

    `extras`: what the gradients of the parameters that only we have must be.
    """
    of_theirs = gradients(theirs)
    expected = dict(extras) | {
        name: origin.convert(*(of_theirs[part] for part in origin.names))
        for name, origin in key_map.items()
    }
    of_ours = gradients(ours)
    assert set(of_ours) == set(expected)
    return {
        name: float((of_ours[name] - value).abs().max() / value.abs().max())
        for name, value in expected.items()
    }
