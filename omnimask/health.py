"""Is every modality still learning something? Scalars to watch, cheap enough for every log line.

Collapse (all samples encoded alike) hides behind a falling total loss, because a constant target is
easy to predict; so features are watched per modality.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.masking.plan import MaskPlan
from omnimask.packing import pack, row_of_token
from omnimask.tokens import Layout, Span

_MAX_TOKENS = 2048  # of one group and plan; the covariance of d features costs tokens * d**2
# Encoder outputs are layer-normalised: a token's features vary by about 1 among themselves. Samples
# whose mean features differ by less than this, or tokens that span one direction, are one point.
COLLAPSED_VARIANCE = 1e-4
COLLAPSED_RANK = 1.5

Item = tuple[Layout, MaskPlan, Tensor]  # packed (t d) features of the visible tokens


@torch.no_grad()
def measure_health(items: Sequence[Item]) -> dict[str, Tensor]:
    """By modality, from the packed encoder outputs of visible tokens, each item one group's:

    `variance/<m>`: of samples' mean features, averaged over the channels. `rank/<m>`: effective
    rank of the tokens' centred features, the exponential of the entropy of their normalised
    singular values (Roy and Vetterli, EUSIPCO 2007). `hidden/<m>`: the share of valid tokens that
    the encoder did not see.
    """
    names = dict.fromkeys(span.modality for layout, _, _ in items for span in layout.spans)
    health: dict[str, Tensor] = {}
    for name in names:
        parts = [_Part(item, name) for item in items if name in _names(item[0])]
        health[f"variance/{name}"] = _variance([part.sample_means() for part in parts])
        health[f"rank/{name}"] = _effective_rank(parts)
        valid = sum(sum(part.span.num_valid) * part.copies for part in parts)
        shown = torch.stack([part.member.sum() for part in parts]).sum()
        health[f"hidden/{name}"] = 1.0 - shown / max(valid, 1)
    return health


def collapsed(health: Mapping[str, float]) -> list[str]:
    """The modalities whose features have become one point, by what `measure_health` gave."""
    names = [key.removeprefix("variance/") for key in health if key.startswith("variance/")]
    return [
        name
        for name in names
        if health[f"variance/{name}"] < COLLAPSED_VARIANCE
        or health[f"rank/{name}"] < COLLAPSED_RANK
    ]


def _names(layout: Layout) -> list[str]:
    return [span.modality for span in layout.spans]


class _Part:
    """One modality's visible tokens of one item: `features` (t d), `member` (t) where they are."""

    def __init__(self, item: Item, name: str) -> None:
        layout, plan, features = item
        self.span: Span = next(span for span in layout.spans if span.modality == name)
        self.copies, self.rows, self.num_rows = plan.copies, plan.num_visible, len(plan.num_visible)
        self.features = features.float()
        ids = pack(plan.visible_ids, plan.num_visible)
        self.member: Bool[Tensor, " t"] = (ids >= self.span.start) & (ids < self.span.stop)

    def sample_means(self) -> tuple[Float[Tensor, "r d"], Bool[Tensor, " r"]]:
        """The mean features of every row, and which rows have a token of the modality."""
        weight = self.member[:, None].float()
        row = row_of_token(self.rows, self.features.device)
        sums = self.features.new_zeros(self.num_rows, self.features.shape[1])
        sums.index_add_(0, row, self.features * weight)
        counts = weight.new_zeros(self.num_rows, 1).index_add_(0, row, weight)
        return sums / counts.clamp_min(1.0), counts[:, 0] > 0

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, sum and second moment of an even choice of the tokens."""
        step = -(-len(self.features) // _MAX_TOKENS)
        chosen, weight = self.features[::step], self.member[::step, None].float()
        weighted = chosen * weight
        return weight.sum(), weighted.sum(dim=0), weighted.T @ weighted


def _variance(means: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    rows = torch.cat([mean for mean, _ in means])
    weight = torch.cat([there for _, there in means])[:, None].float()
    count = weight.sum().clamp_min(1.0)
    center = (rows * weight).sum(dim=0) / count
    return ((rows - center).square() * weight).sum(dim=0).mean() / count


def _effective_rank(parts: Sequence[_Part]) -> Tensor:
    moments = [part.moments() for part in parts]
    count = torch.stack([n for n, _, _ in moments]).sum().clamp_min(1.0)
    mean = torch.stack([total for _, total, _ in moments]).sum(dim=0) / count
    second = torch.stack([square for _, _, square in moments]).sum(dim=0) / count
    values = torch.linalg.eigvalsh(second - mean[:, None] * mean).clamp_min(0.0).sqrt()
    share = values / values.sum().clamp_min(1e-12)
    return (-(share * share.clamp_min(1e-12).log()).sum()).exp()
