"""How many samples of each stream a step takes: a pure function of the step's number.

With a mixture the shares of streams are met to within a sample at every step: of a stream with the
exact share a, the steps before t have taken floor(a t + p), and p differs from stream to stream so
that not all round up in the same step. No stream is ever absent, so that every process has the same
parameters in use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.settings import Data, Mixture

_ONE = 1 << 40  # shares in fixed point: the same on every machine, at any step


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """By stream, multiples of `multiple` samples for each micro-batch: `rate` of them a step, in
    fixed point, begun at `phase`.
    """

    rate: Mapping[str, int]
    phase: Mapping[str, int]
    multiple: int = 1

    def before(self, step: int) -> dict[str, int]:
        """Samples of one micro-batch of each of the steps before `step`, added up."""
        return {
            name: (rate * step + self.phase[name]) // _ONE * self.multiple
            for name, rate in self.rate.items()
        }

    def sizes(self, step: int) -> dict[str, int]:
        """Samples of a micro-batch of `step`."""
        now, then = self.before(step), self.before(step + 1)
        return {name: then[name] - now[name] for name in self.rate}


def compose(data: Data, lengths: Mapping[str, int]) -> Composition:
    """Of streams with so many samples; their batch sizes where there is no mixture.

    RecipeError where a stream would be absent from some steps.
    """
    sizes = {stream.name: stream.batch_size for stream in data.streams if stream.name in lengths}
    mixture = data.mixture
    if mixture is None:
        rate: dict[str, int] = {name: size * _ONE for name, size in sizes.items()}
        return Composition(rate=rate, phase=dict.fromkeys(rate, 0))
    total = sum(sizes.values()) / mixture.multiple
    rate = {name: round(share * total * _ONE) for name, share in shares(mixture, lengths).items()}
    for name, units in rate.items():
        if units < _ONE:
            raise RecipeError(
                f"data.mixture: stream {name} would have {units / _ONE * mixture.multiple:.2f} "
                f"samples of {total * mixture.multiple:g} in a micro-batch and be absent from some "
                "steps; raise its weight, the temperature, or the streams' batch sizes"
            )
    phase = {name: place * _ONE // len(rate) for place, name in enumerate(rate)}
    return Composition(rate=rate, phase=phase, multiple=mixture.multiple)


def shares(mixture: Mixture, lengths: Mapping[str, int]) -> dict[str, float]:
    """Of all samples, by stream; they add up to 1."""
    weights = mixture.weights or {name: float(length) for name, length in lengths.items()}
    tempered = {name: weights[name] ** (1 / mixture.temperature) for name in lengths}
    return {name: weight / sum(tempered.values()) for name, weight in tempered.items()}


def realised(names: list[dict[str, tuple[str, ...]]]) -> dict[str, Any]:
    """The shares of streams among the samples that steps have taken, for logs."""
    counts: dict[str, int] = {}
    for step in names:
        for stream, taken in step.items():
            counts[stream] = counts.get(stream, 0) + len(taken)
    total = sum(counts.values())
    return {f"mixture/{stream}": count / total for stream, count in counts.items()}
