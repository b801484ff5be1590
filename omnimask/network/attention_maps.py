"""Who attends to whom in an encoder that sees everything; for pictures, outside of training.

Training computes attention without ever holding its weights. Here they are computed a second time,
of the same inputs, for a few samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.masking.full import full_plan
from omnimask.network.encoder import Backbone, Encoded
from omnimask.tokens.tokens import Rows, View


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionMaps:
    """`features` (b n d) are the encoder's output, `last` (b n) and `rollout` (b n) shares that
    add up to 1 over a sample's valid tokens; all are zero where a token is not valid.

    `last`: what [CLS], or the mean of all tokens where `by_class` is False, attends to in the last
    block, as a mean over its heads. `rollout`: the same from the first block to the last, each
    half attention and half its own token (https://arxiv.org/abs/2005.00928, section 3).
    """

    features: Float[Tensor, "b n d"]
    last: Float[Tensor, "b n"]
    rollout: Float[Tensor, "b n"]
    by_class: bool


@torch.no_grad()
def attention_maps(backbone: Backbone, view: View) -> AttentionMaps:
    """Of one group, all valid tokens shown."""
    blocks = [block for block in backbone.encoder.blocks if hasattr(block, "attn")]
    inputs: list[tuple] = []
    hooks = [
        block.attn.register_forward_pre_hook(lambda _, given: inputs.append(given))  # pyright: ignore
        for block in blocks
    ]
    try:
        (encoded,) = backbone([(view, full_plan(view.layout))])
    finally:
        for hook in hooks:
            hook.remove()
    config = backbone.encoder.config
    heads = [block.attn.weights(*given)[0] for block, given in zip(blocks, inputs, strict=True)]  # pyright: ignore
    means = [weights.mean(dim=1) for weights in heads]
    asks = _asks(encoded, num_prefix=config.num_prefix, by_class=config.class_token)
    last, rolled = asks @ means[-1], asks @ _rollout(means)
    return AttentionMaps(
        features=_at_tokens(encoded, encoded.visible[0].float()),
        last=_shares(encoded, last[:, 0, config.num_prefix :]),
        rollout=_shares(encoded, rolled[:, 0, config.num_prefix :]),
        by_class=config.class_token,
    )


def _rollout(means: Sequence[Float[Tensor, "b n n"]]) -> Float[Tensor, "b n n"]:
    whole = torch.eye(means[0].shape[-1], device=means[0].device).expand_as(means[0])
    for weights in means:
        whole = (0.5 * weights + 0.5 * torch.eye(weights.shape[-1], device=weights.device)) @ whole
    return whole


def _asks(encoded: Encoded, *, num_prefix: int, by_class: bool) -> Float[Tensor, "b 1 n"]:
    """Whose attention is shown: [CLS], or all tokens of a sample in equal parts."""
    lengths = encoded.plan.num_visible
    asks = torch.zeros(len(lengths), 1, num_prefix + max(lengths), device=encoded.visible[0].device)
    if by_class:
        asks[:, :, 0] = 1.0
        return asks
    for row, length in enumerate(lengths):
        asks[row, :, num_prefix : num_prefix + length] = 1 / max(length, 1)
    return asks


def _at_tokens(encoded: Encoded, packed: Float[Tensor, "t d"]) -> Float[Tensor, "b n d"]:
    """What visible tokens have, at their places in the sequence; zero elsewhere."""
    shape = encoded.layout.valid.shape
    flat = packed.new_zeros(shape.numel(), packed.shape[1])
    return flat.index_copy(0, encoded.packed_visible(), packed).unflatten(0, tuple(shape))


def _shares(encoded: Encoded, padded: Float[Tensor, "b m"]) -> Float[Tensor, "b n"]:
    packed = Rows.of(encoded.plan.num_visible).pack(padded)
    found = _at_tokens(encoded, packed[:, None])[..., 0]
    return found / found.sum(dim=1, keepdim=True).clamp_min(1e-12)
