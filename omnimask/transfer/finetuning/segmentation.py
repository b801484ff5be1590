"""The class of every place of a sample: semantic segmentation, and parts of clouds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.finetuning.place_head import SegmentationHead
from omnimask.transfer.finetuning.places import PlaceLabels
from omnimask.transfer.finetuning.tasks import Label, Vector, check_smoothing, constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """One class per place. Streams have files of the input and of `labels`, aligned by name.

    `head` takes the place of the recipe's pooled one. `smoothing`: label smoothing. `weights`:
    "balanced" weighs a class by 1 / ln(1.02 + its share of the known places), which is at most 51
    however rare it is (ENet, https://arxiv.org/abs/1606.02147, section 5.2); `class_weights` are
    the numbers, filled from the training samples where they are empty. `folders`, filled by `fit`,
    are those that samples lie in: a share of the labels has the same share of each.
    """

    labels: PlaceLabels
    head: SegmentationHead = field(default_factory=SegmentationHead)
    smoothing: float = 0.0
    weights: Literal["none", "balanced"] = "none"
    class_weights: tuple[float, ...] = ()
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)
        if self.class_weights and len(self.class_weights) != len(self.outputs):
            raise RecipeError(
                f"task.class_weights must have one number for each of {len(self.outputs)} classes "
                f"({', '.join(self.outputs)}), got {len(self.class_weights)}"
            )

    @property
    def reads_text(self) -> bool:
        return True

    @property
    def main_score(self) -> str:
        return "mean_iou"

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.labels.class_names

    @property
    def needs_counts(self) -> bool:
        """Whether `weighed` is still to be called."""
        return self.weights == "balanced" and not self.class_weights

    def fit(self, labels: Sequence[Label], columns: Sequence[str], /) -> "Segmentation":
        folders = sorted({label[0] for label in labels if isinstance(label[0], str)})
        return replace(self, folders=tuple(folders))

    def weighed(self, counts: Sequence[int], /) -> "Segmentation":
        """With the weights that follow from the number of known places of each class."""
        shares = torch.tensor(counts, dtype=torch.float64) / max(sum(counts), 1)
        return replace(self, class_weights=tuple((1.0 / (1.02 + shares).log()).tolist()))

    def encode(self, label: Label, /) -> Vector | None:
        """The number of the sample's folder, -1 for one that training does not have."""
        known = label[0] in self.folders
        return (float(self.folders.index(str(label[0]))) if known else -1.0,)

    def kinds(self, vector: Vector, /) -> tuple[int, ...]:
        return (int(vector[0]),)

    def targets(
        self, labels: Float[Tensor, "b p"], lam: Float[Tensor, "b 1"] | None, /
    ) -> Float[Tensor, "b p"]:
        assert lam is None, "FinetuneRecipe lets no segmentation mix its samples"
        return labels

    def count(self, targets: Float[Tensor, "b p"], /) -> Float[Tensor, ""]:
        """Known places, or the sum of their classes' weights."""
        known = targets >= 0
        if not self.class_weights:
            return known.sum(dtype=torch.float32)
        weights = constant(self.class_weights, targets.device)
        return torch.where(known, weights[targets.long().clamp_min(0)], 0.0).sum()

    def loss(
        self, outputs: Float[Tensor, "b p k"], targets: Float[Tensor, "b p"], /
    ) -> Float[Tensor, ""]:
        """Cross-entropy at known places, its mean weighted by the classes' weights."""
        weights = constant(self.class_weights, outputs.device) if self.class_weights else None
        return F.cross_entropy(
            outputs.float().flatten(0, 1),
            targets.long().flatten(),
            weight=weights,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=self.smoothing,
        )

    def read(self, outputs: Float[Tensor, "b p k"], /) -> Float[Tensor, "b p k"]:
        return outputs.float().softmax(dim=2)
