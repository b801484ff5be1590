"""What a step costs: tokens, parameters, FLOPs and memory, from one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from omnimask.network.blocks import Attention
from omnimask.tokens.tokens import Group
from omnimask.training.step import MaskedModel

_ADAMW_BYTES = 16  # fp32 weight, gradient and two moments


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamTokens:
    """Tokens of one stream in a step of one process: all valid ones, those shown, those asked."""

    stream: str
    samples: int
    valid: int
    visible: int
    predicted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """FLOPs are multiply-adds counted twice, forward and backward, of one process's step."""

    tokens: tuple[StreamTokens, ...]
    trained_parameters: int
    teacher_parameters: int
    flops: int
    state_bytes: int
    activation_bytes: int


def measure_cost(model: MaskedModel, batch: Sequence[Group]) -> StepCost:
    """Runs one forward pass and counts; FLOPs are those of linear layers and attention.

    A backward pass takes twice the forward's products (one for the inputs, one for the weights);
    a teacher has none. Activation bytes are the tensors that autograd keeps for the backward pass.
    """
    flops = {"student": 0, "teacher": 0}
    hooks = [
        module.register_forward_hook(_counter(flops, part), with_kwargs=True)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Attention)
        for part in ["teacher" if name.startswith("teacher.") else "student"]
    ]
    saved: dict[int, int] = {}
    with saved_tensors_hooks(lambda tensor: _remember(saved, tensor), lambda tensor: tensor):
        model(batch)
    for hook in hooks:
        hook.remove()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    of_parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return StepCost(
        tokens=tuple(_stream_tokens(model, group) for group in batch),
        trained_parameters=trained,
        teacher_parameters=frozen,
        flops=3 * flops["student"] + flops["teacher"],
        state_bytes=_ADAMW_BYTES * trained + 4 * frozen,
        activation_bytes=sum(
            size for pointer, size in saved.items() if pointer not in of_parameters
        ),
    )


def _counter(flops: dict[str, int], part: str):
    def count(module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            flops[part] += 2 * args[0].numel() * module.out_features
            return
        groups = args[1].groups
        keys = kwargs.get("context_rows") or groups
        # Queries times keys, and weights times values: two products of `width` per pair. Rows of a
        # ragged group are computed at the longest row's length.
        lengths = [(q.lengths, k.lengths) for q, k in zip(groups, keys, strict=True)]
        pairs = sum(len(n) * max(n) * max(m) for n, m in lengths)
        assert isinstance(module, Attention)
        flops[part] += 2 * 2 * pairs * module.width

    return count


def _remember(saved: dict[int, int], tensor: Tensor) -> Tensor:
    storage = tensor.untyped_storage()
    saved[storage.data_ptr()] = storage.nbytes()
    return tensor


@torch.no_grad()
def _stream_tokens(model: MaskedModel, group: Group) -> StreamTokens:
    view = model.views([group])[0]
    plans = model.masks(view, 0.0)
    return StreamTokens(
        stream=group.stream,
        samples=len(group),
        valid=sum(sum(span.num_valid) for span in view.layout.spans),
        visible=sum(sum(plan.num_visible) for plan in plans),
        predicted=sum(sum(plan.num_predict) for plan in plans),
    )
