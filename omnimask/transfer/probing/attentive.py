"""What a frozen encoder's tokens are worth to one learned query that attends to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.rng import permutation


@dataclass(frozen=True, kw_only=True, slots=True)
class Attentive:
    """AdamW with half a cosine of learning rate, for a fixed number of epochs."""

    epochs: int = 40
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.05
    num_heads: int = 4

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.num_heads) < 1:
            raise RecipeError(
                "attentive: epochs, batch_size and num_heads must be >= 1, got "
                f"{self.epochs}, {self.batch_size}, {self.num_heads}"
            )
        if self.lr <= 0.0:
            raise RecipeError(f"attentive.lr must be > 0, got {self.lr}; write 1e-3")


class AttentiveHead(nn.Module):
    """One query attends to a sample's tokens in several heads; a linear layer reads the result.

    After attentive probing in CAE (https://arxiv.org/abs/2202.03026, experiments), without a norm:
    tokens come in standardised.
    """

    def __init__(self, width: int, num_outputs: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = math.gcd(num_heads, width)
        self.query = nn.Parameter(torch.empty(width))
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        self.head = nn.Linear(width, num_outputs)
        nn.init.trunc_normal_(self.query, std=0.02)

    def forward(
        self, tokens: Float[Tensor, "b n d"], valid: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b k"]:
        query = self.query.unflatten(0, (self.num_heads, -1))
        keys = self.keys(tokens).unflatten(2, (self.num_heads, -1))
        values = self.values(tokens).unflatten(2, (self.num_heads, -1))
        scores = torch.einsum("hc,bnhc->bnh", query, keys) / math.sqrt(query.shape[1])
        # Finite, so that a sample without a token has a finite result.
        weights = scores.masked_fill(~valid[:, :, None], -1e30).softmax(dim=1)
        return self.head(torch.einsum("bnh,bnhc->bhc", weights, values).flatten(1))


def attend(
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    truths: Sequence[int] | Sequence[float],
    settings: Attentive,
    *,
    seed: int,
    device: torch.device,
) -> np.ndarray:
    """Predictions for the test samples: indices of classes for integer truths, else numbers.

    A sample is its tokens (t d). Nothing but `seed` is random, and the global generator is left
    alone.
    """
    classes = isinstance(truths[0], int)
    target = torch.tensor(truths, device=device, dtype=torch.int64 if classes else torch.float32)
    centre, scale = (0.0, 1.0) if classes else (target.mean(), target.std(correction=0) + 1e-8)
    target = target if classes else (target - centre) / scale
    mean, deviation = _statistics(train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        num_outputs = int(target.max()) + 1 if classes else 1
        head = AttentiveHead(len(mean), num_outputs, num_heads=settings.num_heads)
    head.to(device)

    def batch(samples: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        return _padded([(sample - mean) / deviation for sample in samples], device)

    with torch.enable_grad():
        _fit(head, train, target, settings, seed, batch)
    size = settings.batch_size
    with torch.no_grad():
        outputs = [head(*batch(test[i : i + size])) for i in range(0, len(test), size)]
    found = torch.cat(outputs)
    return (found.argmax(dim=1) if classes else found[:, 0] * scale + centre).cpu().numpy()


def _fit(
    head: AttentiveHead,
    train: Sequence[np.ndarray],
    target: Tensor,
    settings: Attentive,
    seed: int,
    batch,
) -> None:
    loss_of = nn.functional.cross_entropy if target.dtype == torch.int64 else _mse
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    num_batches = math.ceil(len(train) / settings.batch_size)
    for epoch in range(settings.epochs):
        order = permutation(len(train), seed, "attentive", epoch).tolist()
        for number in range(num_batches):
            done = (epoch * num_batches + number) / (settings.epochs * num_batches)
            optimizer.param_groups[0]["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * done))
            rows = order[number * settings.batch_size : (number + 1) * settings.batch_size]
            loss = loss_of(head(*batch([train[i] for i in rows])), target[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


def _mse(predicted: Float[Tensor, "b 1"], truth: Float[Tensor, " b"]) -> Tensor:
    return nn.functional.mse_loss(predicted[:, 0], truth)


def _statistics(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (d) over all tokens, summed sample by sample to need no second copy."""
    count = max(sum(len(sample) for sample in samples), 1)
    mean = sum(sample.astype(np.float64).sum(axis=0) for sample in samples) / count
    squares = sum(np.square(sample - mean).sum(axis=0) for sample in samples)
    deviation = np.sqrt(np.asarray(squares) / count)
    return np.asarray(mean, dtype=np.float32), np.maximum(deviation, 1e-6).astype(np.float32)


def _padded(samples: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    tokens = nn.utils.rnn.pad_sequence([torch.from_numpy(s) for s in samples], batch_first=True)
    lengths = torch.tensor([len(sample) for sample in samples])
    valid = torch.arange(tokens.shape[1]) < lengths[:, None]
    return tokens.to(device), valid.to(device)
