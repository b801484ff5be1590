"""Segmentation: the record that says everything about one run of it."""

from dataclasses import dataclass, field
from typing import Any

from omnimask.encoder import Encoder
from omnimask.errors import RecipeError
from omnimask.modality import Modality
from omnimask.recipe import Data, Optim, Run
from omnimask.segmentation.head import SegmentationHead
from omnimask.segmentation.places import PlaceLabels


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationLoss:
    """Cross-entropy at known places. `class_weights`: one per class, None for equal ones."""

    name: str = "segmentation"
    weight: float = 1.0
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise RecipeError(
                f"loss.label_smoothing must be in [0, 1), got {self.label_smoothing}; write 0.1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """Fine-tunes an encoder to say the class of each place of a sample of one modality.

    Every stream has files of `input` and of `labels`, by their names, aligned. `input` may differ
    from pretraining's modality in its sizes (`omnimask.adapt`). `encoder`: None until a run has
    filled in that of the encoder it started from. `freeze`: trains the head alone. `layer_decay`:
    each block learns slower than the one above it by this factor, the embeddings slowest, as in
    BEiT, https://arxiv.org/abs/2106.08254, appendix. `drop_path` is the last block's probability.
    `evaluate_every` steps, and at the end, held-out samples are scored; 0 is at the end alone.
    """

    name: str
    input: Modality
    labels: PlaceLabels
    data: Data
    optim: Optim
    head: SegmentationHead = field(default_factory=SegmentationHead)
    loss: SegmentationLoss = field(default_factory=SegmentationLoss)
    encoder: Encoder | None = None
    freeze: bool = False
    layer_decay: float = 0.75
    drop_path: float = 0.1
    evaluate_every: int = 0
    run: Run = field(default_factory=Run)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.layer_decay <= 1.0:
            raise RecipeError(f"layer_decay must be in (0, 1], got {self.layer_decay}; write 0.75")
        weights, num_classes = self.loss.class_weights, len(self.labels.class_names)
        if weights is not None and len(weights) != num_classes:
            raise RecipeError(
                f"loss.class_weights must have one number per class, {num_classes}, got "
                f"{len(weights)}; write None for equal ones"
            )
        for stream in self.data.streams:
            for files in (stream.files, stream.held_out or stream.files):
                if set(files) != {self.input.name, self.labels.name}:
                    raise RecipeError(
                        f"stream {stream.name}: expected files of {self.input.name!r} and "
                        f"{self.labels.name!r}, got those of {sorted(files)}"
                    )

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the encoder sees; the labels are none of it."""
        return (self.input,)

    @property
    def objectives(self) -> tuple[SegmentationLoss, ...]:
        return (self.loss,)

    def modality(self, name: str, /) -> Any:
        """The input, or the labels, which are read and collated like a modality."""
        return self.input if name == self.input.name else self.labels
