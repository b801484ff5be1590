"""Codebook: vectors of length one to the nearest of a set of codes that follow them."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from omnimask.foundation.collective import cat_over_ranks, num_ranks, sum_over_ranks
from omnimask.foundation.rng import Rng
from omnimask.objectives.code_usage import count_codes, measure_usage
from omnimask.objectives.kmeans import draw_starts, spherical_kmeans, sum_members, token_places

_DEAD_BELOW = 0.1  # of the mean usage; a code without tokens gets there in 230 steps of decay 0.99


class Codebook(nn.Module):
    """ℓ2-normalised codes, each an exponential moving average of the tokens it stands for.

    VQ-KD of BEiT v2, https://arxiv.org/abs/2208.06366, section 2.2.1, after the official code: a
    code moves towards the direction of its tokens' mean by 1 - `decay` and is scaled back to length
    one; one without tokens stays. With `kmeans_init` spherical k-means on the first batch makes the
    codebook, from tokens drawn without replacement; the choice depends on their places in the batch
    alone.

    The official code leaves unused codes alone; here a code whose average usage is below a tenth of
    the mean is replaced by the token that is served worst in this step, the next by the second
    worst. That is also how the first batches make the codebook without k-means, or where the first
    one has fewer tokens than there are codes; the official code then draws tokens several times.
    Codes change only while training with gradients, and all processes count as one batch; in the
    official k-means each looks at its own tokens.
    """

    codes: Float[Tensor, "k c"]
    usage: Float[Tensor, " k"]

    def __init__(
        self,
        *,
        num_codes: int = 8192,
        dim: int = 32,
        decay: float = 0.99,
        kmeans_init: bool = True,
    ) -> None:
        super().__init__()
        self.num_codes, self.decay = num_codes, decay
        self.register_buffer("codes", F.normalize(torch.randn(num_codes, dim), dim=-1))
        self.register_buffer("usage", torch.zeros(num_codes))
        self._last_counts: Tensor | None = None
        # Known on the host, since asking the buffers in a step would wait for the device.
        self.kmeans_init = kmeans_init
        self._started = False
        self.register_load_state_dict_post_hook(_recall_start)

    def forward(
        self, z: Float[Tensor, "t c"]
    ) -> tuple[Float[Tensor, "t c"], Int64[Tensor, " t"], Float[Tensor, ""]]:
        """Codes of `z`, whose gradient is that of `z` at length one; their ids; and the commitment:
        the squared distance to the code, averaged over channels, summed over tokens.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = F.normalize(z.float(), dim=-1)
            learning = self.training and torch.is_grad_enabled()
            if learning and self.kmeans_init and not self._started:
                self._start(z.detach())
            ids, similarity = self.nearest(z.detach())
            chosen = self.codes.index_select(0, ids)
            commitment = (z - chosen).square().mean(dim=-1).sum()
            quantised = z + (chosen - z).detach()
            if learning:
                self._update(z.detach(), ids, similarity)
        return quantised, ids, commitment

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "t c"]) -> tuple[Int64[Tensor, " t"], Float[Tensor, " t"]]:
        """The nearest code of vectors of length one, and the cosine with it; in fp32."""
        with torch.autocast(z.device.type, enabled=False):
            similarity, ids = (z.float() @ self.codes.T).max(dim=-1)
        return ids, similarity

    def health(self) -> dict[str, Tensor]:
        """Of the last training step: share of codes `used` and `perplexity`; and the perplexity of
        the moving average of usage.
        """
        if self._last_counts is None:
            return {}
        average = measure_usage(self.usage)["perplexity"]
        return {**measure_usage(self._last_counts), "average_perplexity": average}

    @torch.no_grad()
    def _start(self, z: Float[Tensor, "t c"]) -> None:
        self._started = True
        finite = z.isfinite().all(dim=-1)
        rng = Rng(keys=token_places(len(z), z.device)).child("codebook")
        starts, enough = draw_starts(z, rng, ok=finite, num_centers=self.num_codes)
        codes, counts = spherical_kmeans(z, starts, ok=finite)
        self.codes.copy_(torch.where(enough, codes, self.codes))
        # Alike, so that a code of few tokens has time to find more; one without is dead at once.
        # It weighs as one step: with more, codes that the tokens soon leave would live on unused.
        usage = torch.where(counts > 0, (1.0 - self.decay) * counts.mean(), 0.0)
        self.usage.copy_(torch.where(enough, usage, self.usage))

    @torch.no_grad()
    def _update(
        self, z: Float[Tensor, "t c"], ids: Int64[Tensor, " t"], similarity: Float[Tensor, " t"]
    ) -> None:
        # A step that went wrong is skipped by the trainer; its numbers must not stay here either.
        finite = z.isfinite().all(dim=-1)
        z = torch.where(finite[:, None], z, 0.0)
        counts = count_codes(ids, finite.float(), num_codes=self.num_codes)
        sums = sum_over_ranks(sum_members(z, ids, num_centers=self.num_codes))
        counts = sum_over_ranks(counts)
        means = torch.where(counts[:, None] > 0, F.normalize(sums, dim=-1), self.codes)
        # A code that never had a token is random: its first tokens replace it.
        kept = torch.where(self.usage[:, None] > 0, self.decay, 0.0)
        self.codes.copy_(F.normalize(torch.lerp(means, self.codes, kept), dim=-1))
        self.usage.lerp_(counts, 1.0 - self.decay)
        self._last_counts = counts
        self._replace_dead(z, torch.where(finite, similarity, torch.inf))

    def _replace_dead(self, z: Float[Tensor, "t c"], similarity: Float[Tensor, " t"]) -> None:
        worst, real = self._worst_served(z, similarity)
        mean = self.usage.mean()
        dead = self.usage < _DEAD_BELOW * mean.clamp_min(torch.finfo(mean.dtype).tiny)
        # The first dead code takes the worst served token, and so on, while there are tokens.
        turn = (dead.cumsum(dim=0) - 1).clamp(0, len(worst) - 1)
        taken = dead & real[turn] & (dead.cumsum(dim=0) <= len(worst))
        self.codes.copy_(torch.where(taken[:, None], worst[turn], self.codes))
        # As if it had been used as often as the others, so that it has time to find its tokens.
        self.usage.copy_(torch.where(taken, mean, self.usage))

    def _worst_served(
        self, z: Float[Tensor, "t c"], similarity: Float[Tensor, " t"]
    ) -> tuple[Float[Tensor, "m c"], Bool[Tensor, " m"]]:
        """Tokens of all processes, the least similar to their codes first, and which are real."""
        order = similarity.argsort(stable=True)[: self.num_codes]
        z, similarity = z[order], similarity[order]
        if num_ranks() > 1:
            # Processes may have different numbers of tokens; what they exchange has one shape.
            missing = self.num_codes - len(z)
            z = cat_over_ranks(F.pad(z, (0, 0, 0, missing)))
            similarity = cat_over_ranks(F.pad(similarity, (0, missing), value=torch.inf))
            order = similarity.argsort(stable=True)[: self.num_codes]
            z, similarity = z[order], similarity[order]
        return z, similarity.isfinite()


def _recall_start(book: Codebook, _: object) -> None:
    """Codes that were loaded have been started if any was ever used."""
    book._started = bool(book.usage.any())
