"""Which probes are made, and with how many labels."""

from dataclasses import dataclass

from omnimask.foundation.errors import RecipeError
from omnimask.network.pooling import Pooling
from omnimask.transfer.probing.attentive import Attentive


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """kNN and a linear probe are always made; the same settings give the same numbers.

    `layers`: -1 is the normalised output, -2 the output of the last block but one, without a norm;
    None is every layer. `few_shot`: numbers of samples per class, each tried in `episodes` draws.
    `attentive` reads the tokens of the last layer. `label_share` in (0, 1] of every class's
    training samples, rounded up, have a label. `random_seeds`: one encoder with random weights for
    each. `max_train`, `max_test`: samples of a stream; None is what the device reads in about a
    minute, as in a run's report.
    """

    layers: tuple[int, ...] | None = (-1,)
    few_shot: tuple[int, ...] = ()
    episodes: int = 100
    attentive: Attentive | None = None
    label_share: float = 1.0
    pooling: Pooling = "mean"
    random_seeds: tuple[int, ...] = (1000, 1001, 1002)
    max_train: int | None = None
    max_test: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.label_share <= 1.0:
            raise RecipeError(
                f"label_share must be in (0, 1], got {self.label_share}; write 0.1 for 10 %"
            )
        if self.episodes < 2:
            raise RecipeError(
                f"episodes must be >= 2, got {self.episodes}; an interval needs several, write 100"
            )
        if any(k < 1 for k in self.few_shot):
            raise RecipeError(f"few_shot must be >= 1 per class, got {self.few_shot}; write 1,5,10")
        for name, limit in (("max_train", self.max_train), ("max_test", self.max_test)):
            if limit is not None and limit < 1:
                raise RecipeError(f"{name} must be >= 1, got {limit}; leave it out for the default")

    def layers_of(self, depth: int) -> tuple[int, ...]:
        """The layers of an encoder of `depth` blocks; RecipeError for one that it does not have."""
        layers = tuple(range(-depth, 0)) if self.layers is None else self.layers
        for layer in layers:
            if not -depth <= layer <= -1:
                raise RecipeError(
                    f"layers must be in [-{depth}, -1] for an encoder of {depth} blocks, got "
                    f"{layer}; -1 is the last"
                )
        return tuple(dict.fromkeys(layers))
