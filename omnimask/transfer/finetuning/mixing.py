"""Mixup and cutmix on tokens that stand on a grid."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.foundation.rng import Rng
from omnimask.tokens.tokens import Grid, Tokens
from omnimask.transfer.finetuning.recipe import Mix


def mix_tokens(
    tokens: Mapping[str, Tokens], mix: Mix, rng: Rng
) -> tuple[dict[str, Tokens], Float[Tensor, "b 1"]]:
    """Each sample with its mirror image in the batch, and the share of its own label.

    A token's values are linear in the sample's, so mixing tokens is mixing samples; a cut box has
    whole tokens. Which tokens are valid stays: where the other sample ends, a sample is mixed with
    zeros. In a batch of odd size the middle sample is mixed with itself.
    """
    num_samples = len(rng.keys)
    lam = _own_share(mix, rng)
    cuts = _cuts(mix, rng)
    shares, mixed = [], {}
    for name, part in tokens.items():
        assert part.grid is not None, "checked by FinetuneRecipe"
        other = torch.where(part.valid.flip(0)[:, :, None], part.values.flip(0), 0.0)
        box = _box(part.grid, lam, rng.child("place")) & cuts & part.valid
        weight = torch.where(cuts, (~box).float(), lam)[:, :, None].to(part.values.dtype)
        mixed[name] = replace(part, values=part.values * weight + other * (1.0 - weight))
        known = part.valid.sum(dim=1, keepdim=True).clamp_min(1)
        shares.append(1.0 - box.sum(dim=1, keepdim=True) / known)
    # Of several modalities in one sample each has its own box; the label follows their mean.
    left = torch.stack(shares).mean(dim=0)
    assert len(left) == num_samples
    return mixed, torch.where(cuts, left, lam)


def _own_share(mix: Mix, rng: Rng) -> Float[Tensor, "b 1"]:
    """Beta distributed; 1 for the samples that stay as they are."""
    drawn = [
        rng.child(name).dirichlet((alpha, alpha))[:, :1] if alpha > 0.0 else None
        for name, alpha in (("mixup", mix.mixup), ("cutmix", mix.cutmix))
    ]
    cuts = _cuts(mix, rng)
    nothing = torch.ones(len(rng.keys), 1, device=rng.keys.device)
    mixup, cutmix = (nothing if part is None else part for part in drawn)
    stays = rng.child("share").uniform(1) >= mix.share
    return torch.where(stays, 1.0, torch.where(cuts, cutmix, mixup))


def _cuts(mix: Mix, rng: Rng) -> Bool[Tensor, "b 1"]:
    """Which samples are cut; the others are mixed."""
    share = 0.5 if mix.mixup > 0.0 and mix.cutmix > 0.0 else float(mix.cutmix > 0.0)
    return rng.child("either").uniform(1) < share


def _box(grid: Grid, lam: Float[Tensor, "b 1"], rng: Rng) -> Bool[Tensor, "b n"]:
    """The tokens of a box that holds 1 - lam of a grid's last two axes, at a random place.

    Its centre is uniform and it is cut off at the borders, as in the paper; earlier axes (time of
    a video) are cut throughout. A grid of one axis has an interval.
    """
    axes = list(grid.items())
    boxed = dict(axes[-2:])
    side = (1.0 - lam) ** (1.0 / len(boxed))
    inside = torch.ones(len(lam), 1, dtype=torch.bool, device=lam.device)
    for name, size in axes:
        ids = torch.arange(size, device=lam.device)
        if name in boxed:
            centre = rng.child(name).uniform(1) * size
            half = side * size / 2
            hit = (ids + 0.5 >= centre - half) & (ids + 0.5 < centre + half)
        else:
            hit = (ids >= 0).expand(len(lam), -1)
        inside = (inside[:, :, None] & hit[:, None, :]).flatten(1)
    return inside
