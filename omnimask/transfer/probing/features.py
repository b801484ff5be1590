"""Samples of a stream through several frozen encoders, each file read once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from omnimask.data.samples import Unreadable, read_batches
from omnimask.data.streams import StreamReader
from omnimask.network.encoder import Encoded
from omnimask.network.pooling import Pooling, pool
from omnimask.tokens.modality import Label
from omnimask.tokens.tokens import Group
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

Encode = Callable[[Group], Encoded]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is kept of an encoder's output: `layers`, -1 the normalised output; and tokens of it."""

    layers: tuple[int, ...] = (-1,)
    pooling: Pooling = "mean"
    tokens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Samples by one encoder: pooled vectors (n d) by layer, and each sample's tokens (t d) of the
    normalised output in fp16, where they were asked for.
    """

    labels: tuple[Label, ...]
    pooled: Mapping[int, np.ndarray]
    tokens: tuple[np.ndarray, ...] = ()


def encode_with(encoder: PretrainedEncoder, kept: Kept) -> Encode:
    """The encoder as a function that returns the kept layers, in the order of `inner_layers`."""
    inner = inner_layers(kept)
    return lambda group: encoder(group, layers=inner)


def inner_layers(kept: Kept) -> tuple[int, ...]:
    """The layers that an encoder must be asked for; the normalised output always comes first."""
    return tuple(layer for layer in kept.layers if layer != -1)


@torch.no_grad()
def encode_samples(
    encoders: Sequence[Encode],
    reader: StreamReader,
    indices: Sequence[int],
    kept: Kept,
    device: torch.device,
    unreadable: Unreadable,
) -> list[Side] | None:
    """One side per encoder, of those samples that can be read; None if none can.

    Samples are taken at their centre view.
    """
    inner = inner_layers(kept)
    labels: list[Label] = []
    pooled = [{layer: [] for layer in kept.layers} for _ in encoders]
    tokens: list[list[np.ndarray]] = [[] for _ in encoders]
    for batch in read_batches(reader, indices, unreadable, device=device):
        labels.extend(batch.labels)
        group = batch.group.to(device)
        for number, encode in enumerate(encoders):
            encoded = encode(group)
            for layer in kept.layers:
                place = 0 if layer == -1 else 1 + inner.index(layer)
                vectors = pool(encoded, kept.pooling, layer=place)
                pooled[number][layer].append(vectors.cpu().numpy())
            if kept.tokens:
                parts = encoded.visible[0].half().cpu().split(list(encoded.plan.num_visible))
                tokens[number].extend(part.numpy() for part in parts)
    if not labels:
        return None
    return [
        Side(
            labels=tuple(labels),
            pooled={layer: np.concatenate(parts) for layer, parts in by_layer.items()},
            tokens=tuple(own),
        )
        for by_layer, own in zip(pooled, tokens, strict=True)
    ]
