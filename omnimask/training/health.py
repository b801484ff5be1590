"""Is every modality still learning something? Scalars to watch, cheap enough for every log line.

Collapse hides behind a falling total loss, because a constant target is easy to predict; so the
encoder's features are watched per modality.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from omnimask.masking.plan import MaskPlan
from omnimask.tokens.tokens import Layout, Rows, Span

_MAX_TOKENS = 2048  # of one group and plan; the covariance of d features costs tokens * d**2
# Encoder outputs are layer-normalised: their mean square is about 1. Healthy runs keep a variance
# between tokens of 0.003 (most of the output is then one constant vector) to 0.7. Far below that
# all tokens are one point; below this rank they lie on one line; and below this share of content
# they say where a token stands and hardly anything of what is there.
COLLAPSED_VARIANCE = 2e-4
COLLAPSED_RANK = 1.5
COLLAPSED_CONTENT = 0.005

Item = tuple[Layout, MaskPlan, Tensor]  # packed (t d) features of the visible tokens


@torch.no_grad()
def measure_health(items: Sequence[Item]) -> dict[str, Tensor]:
    """By modality, from the packed encoder outputs of visible tokens, each item one group's:

    `variance/<m>`: of the tokens' features, averaged over the channels. `rank/<m>`: their effective
    rank, the exponential of the entropy of the normalised singular values (Roy and Vetterli,
    EUSIPCO 2007). `content/<m>`: the share of that variance which is not explained by a token's
    place in the sequence; 1 where no place is seen twice. `hidden/<m>`: the share of valid tokens
    that the encoder did not see.
    """
    names = dict.fromkeys(span.modality for layout, _, _ in items for span in layout.spans)
    health: dict[str, Tensor] = {}
    for name in names:
        parts = [_Part(item, name) for item in items if name in _names(item[0])]
        covariance = _covariance(parts)
        health[f"variance/{name}"] = covariance.diagonal().mean()
        health[f"rank/{name}"] = _effective_rank(covariance)
        health[f"content/{name}"] = _content_share(parts)
        valid = sum(sum(part.span.num_valid) * part.copies for part in parts)
        shown = torch.stack([part.member.sum() for part in parts]).sum()
        health[f"hidden/{name}"] = 1.0 - shown / max(valid, 1)
    return health


def collapsed(health: Mapping[str, float]) -> list[str]:
    """The modalities whose features no longer tell samples apart, by `measure_health`."""
    names = [key.removeprefix("variance/") for key in health if key.startswith("variance/")]
    return [
        name
        for name in names
        if health[f"variance/{name}"] < COLLAPSED_VARIANCE
        or health[f"rank/{name}"] < COLLAPSED_RANK
        or health[f"content/{name}"] < COLLAPSED_CONTENT
    ]


def _names(layout: Layout) -> list[str]:
    return [span.modality for span in layout.spans]


class _Part:
    """One modality's visible tokens of one item: `features` (t d), `member` (t) where they are,
    and `ids` (t), their places in the sequence.
    """

    def __init__(self, item: Item, name: str) -> None:
        layout, plan, features = item
        self.span: Span = next(span for span in layout.spans if span.modality == name)
        self.copies, self.num_tokens = plan.copies, layout.valid.shape[1]
        self.features = features.float()
        self.ids: Int64[Tensor, " t"] = Rows.of(plan.num_visible).pack(plan.visible_ids)
        self.member: Bool[Tensor, " t"] = (self.ids >= self.span.start) & (
            self.ids < self.span.stop
        )

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, sum and second moment of an even choice of the tokens."""
        step = -(-len(self.features) // _MAX_TOKENS)
        chosen, weight = self.features[::step], self.member[::step, None].float()
        weighted = chosen * weight
        return weight.sum(), weighted.sum(dim=0), weighted.T @ weighted

    def squares(self) -> tuple[Tensor, Tensor]:
        """Mean squares within places (unbiased) and over all, at places that are seen twice."""
        weight = self.member[:, None].float()
        sums = self.features.new_zeros(self.num_tokens, self.features.shape[1])
        sums.index_add_(0, self.ids, self.features * weight)
        counts = weight.new_zeros(self.num_tokens, 1).index_add_(0, self.ids, weight)
        means = sums / counts.clamp_min(1.0)
        twice = (counts > 1).float()
        used = weight * twice.index_select(0, self.ids)
        num_used = used.sum().clamp_min(1.0)
        center = (self.features * used).sum(dim=0) / num_used
        within = ((self.features - means.index_select(0, self.ids)).square() * used).sum()
        total = ((self.features - center).square() * used).sum()
        degrees = (num_used - twice.sum()).clamp_min(1.0)
        return within / degrees, total / (num_used - 1.0).clamp_min(1.0)


def _content_share(parts: Sequence[_Part]) -> Tensor:
    within, total = (
        torch.stack(squares).sum() for squares in zip(*(part.squares() for part in parts))
    )
    return torch.where(total > 0, within / total.clamp_min(1e-12), 1.0)


def _covariance(parts: Sequence[_Part]) -> Float[Tensor, "d d"]:
    moments = [part.moments() for part in parts]
    count = torch.stack([n for n, _, _ in moments]).sum().clamp_min(1.0)
    mean = torch.stack([total for _, total, _ in moments]).sum(dim=0) / count
    second = torch.stack([square for _, _, square in moments]).sum(dim=0) / count
    return second - mean[:, None] * mean


def _effective_rank(covariance: Float[Tensor, "d d"]) -> Tensor:
    values = torch.linalg.eigvalsh(covariance).clamp_min(0.0).sqrt()
    share = values / values.sum().clamp_min(1e-12)
    return torch.special.entr(share).sum().exp()
