"""What an export must give back: the encoder's own features of real samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.network.pooling import pool
from omnimask.tokens.modality import Modality, Sample
from omnimask.tokens.tokens import Group, Raw, Tokens
from omnimask.transfer.exporting.front import Start, front_of
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

Features = Mapping[str, Tensor]  # "pooled" (b d), "tokens" (b n d), "class_token" (b d)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealSamples:
    """Some samples of one modality, as their reader gave them and collated. `origin` says in words
    where they come from, `start` where a graph of them begins.
    """

    modality: Modality
    samples: tuple[Sample, ...]
    raw: Raw
    tokens: Tokens
    origin: str
    start: Start = "samples"

    def __len__(self) -> int:
        return len(self.tokens.num_valid)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """The largest difference between an export's features and the encoder's, over all numbers of
    all features; as a share of the largest feature where that is above 1.
    """

    modality: str
    samples: int
    origin: str
    largest: float
    tolerance: float

    def __str__(self) -> str:
        return (
            f"{self.modality}: largest difference {self.largest:.1e} over {self.samples} samples "
            f"({self.origin}), allowed {self.tolerance:.0e}"
        )


def collate_samples(modality: Modality, samples: Sequence[Sample], origin: str) -> RealSamples:
    """RecipeError where there is none."""
    if not samples:
        raise RecipeError(f"{modality.name}: a parity check takes at least one sample, got none")
    raw = modality.collate(samples)
    return RealSamples(
        modality=modality,
        samples=tuple(samples),
        raw=raw,
        tokens=modality.split(raw),
        origin=origin,
    )


def started(real: RealSamples, start: Start) -> RealSamples:
    """The same samples for a graph that begins at `start`."""
    raw = front_of(real.modality, start).reference(real.samples)
    return replace(real, start=start, raw=raw, tokens=real.modality.split(raw))


@torch.no_grad()
def own_features(encoder: PretrainedEncoder, samples: RealSamples) -> Features:
    """The encoder's features, its tokens in the places that they have in `samples.tokens`."""
    count = len(samples)
    group = Group(
        stream="",
        raw={samples.modality.name: samples.raw},
        keys=torch.zeros(count, dtype=torch.int64),
        names=("",) * count,
    )
    encoded = encoder(group)
    valid = samples.tokens.valid
    tokens = torch.zeros(*valid.shape, encoder.info.encoder.width)
    tokens[valid] = encoded.visible[0].float()
    features = {"pooled": pool(encoded), "tokens": tokens}
    if encoder.info.encoder.class_token:
        features["class_token"] = pool(encoded, "cls")
    return features


def largest_difference(found: Features, expected: Features) -> float:
    """NaN where either has a NaN. Features that `found` lacks are left out, but `tokens` and
    `pooled` must be there.
    """
    assert {"pooled", "tokens"} <= set(found) <= set(expected)
    differences, scale = [], 1.0
    for name, tensor in found.items():
        assert tensor.shape == expected[name].shape, f"{name}: {tensor.shape}"
        differences.append((tensor - expected[name]).abs().max())
        scale = max(scale, float(expected[name].abs().max()))
    return float(torch.stack(differences).max()) / scale


def check_parity(
    runs: Sequence[Features], expected: Features, samples: RealSamples, *, tolerance: float
) -> Parity:
    """The largest difference of all runs; RecipeError where one is above `tolerance`, or is no
    number.
    """
    differences = torch.tensor([largest_difference(found, expected) for found in runs])
    parity = Parity(
        modality=samples.modality.name,
        samples=len(samples),
        origin=samples.origin,
        largest=float(differences.max()),  # NaN if one of them is
        tolerance=tolerance,
    )
    if not parity.largest <= tolerance:  # so that NaN fails too
        raise RecipeError(
            f"the export does not give the encoder's features: {parity}. Nothing was written; "
            "please report this with the versions that `omnimask doctor` prints"
        )
    return parity
