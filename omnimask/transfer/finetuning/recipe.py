"""FinetuneRecipe: the record that holds everything a supervised run is made of."""

from dataclasses import dataclass, field
from typing import Any, Literal

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.masking.plan import Masker
from omnimask.network.encoder import Encoder
from omnimask.recipe.settings import Data, Optim, Run
from omnimask.tokens.modality import Modality
from omnimask.transfer.finetuning.classification import Classification
from omnimask.transfer.finetuning.segmentation import Segmentation
from omnimask.transfer.finetuning.tasks import Task

LOSS = "label"  # the name of the one loss, in metrics and logs


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Where labels come from.

    `table` None: the files' own, which are the names of folders, or a column of a table that is
    data itself. Otherwise a CSV or Parquet file below `data.root` with a row per sample:
    `name_column` holds the sample's name (the file's path below its folder, with or without the
    suffix), `columns` its labels. `held_out_table` is that of held-out samples, if it is another.
    """

    table: str | None = None
    held_out_table: str | None = None
    name_column: str = "name"
    columns: tuple[str, ...] = ("label",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """What does not learn: the whole `encoder`, or the embeddings and the first `blocks` of it.

    `until`: the share of the run up to which nothing of the encoder learns and after which all of
    it does (ExpPoint-MAE, https://arxiv.org/abs/2306.10798). `thaw`: the share of the run over
    which layers begin to learn one after the other, from the head down (gradual unfreezing,
    https://arxiv.org/abs/1801.06146, section 3.3); 0: all at once.
    """

    encoder: bool = False
    blocks: int = 0
    thaw: float = 0.0
    until: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.until < 1.0 or (self.until and (self.thaw or self.encoder)):
            raise RecipeError(
                f"frozen.until must be in [0, 1), without thaw or encoder=True, got {self}; write "
                "Freeze(until=0.8)"
            )
        if not 0.0 <= self.thaw <= 1.0:
            raise RecipeError(f"frozen.thaw must be in [0, 1], got {self.thaw}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """Low-rank updates of the blocks' linear layers, through peft
    (https://arxiv.org/abs/2106.09685, section 4.1); the rest of the encoder is frozen.

    `rank` 0: none. The update is scaled by `alpha` / `rank`.
    """

    rank: int = 0
    alpha: float = 16.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Mixing each sample with another of the batch; for modalities whose tokens stand on a grid.

    `mixup` and `cutmix` are the alphas of the Beta distribution of the samples' own share
    (https://arxiv.org/abs/1710.09412, section 2, and https://arxiv.org/abs/1905.04899, section
    3.1), 0 is without; with both, each batch row takes either with equal probability. `share` of
    the samples are mixed.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        if min(self.mixup, self.cutmix) < 0.0 or not 0.0 <= self.share <= 1.0:
            raise RecipeError(
                f"mix: alphas must be >= 0 and share in [0, 1], got {self.mixup}, {self.cutmix}, "
                f"{self.share}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """A share of the labelled training samples that is set aside, and what is done with it.

    `every` steps the model is looked at, on the samples set aside, or on the held-out ones where
    `share` is 0 (for the curve alone). `patience`: the run ends after so many looks without a
    better score, and the best weights are kept in `best/`; 0 goes on to the end and keeps the last.
    """

    share: float = 0.0
    every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0:
            raise RecipeError(f"validation.share must be in [0, 1), got {self.share}; write 0.2")
        if self.patience and not (self.share > 0.0 and self.every > 0):
            raise RecipeError(
                "early stopping (validation.patience) chooses among weights, which held-out "
                "samples must not do: set validation.share (0.2, of the training samples) and "
                f"validation.every (steps), got {self.share} and {self.every}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedLoss:
    """The one loss, for the loop."""

    name: str = LOSS
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneRecipe:
    """Everything of a supervised run. A pretrained encoder replaces `encoder`, and the statistics
    of its modalities theirs; `start` then says which one it was.

    `pooling`: a sample's vector is the mean of its tokens, the [CLS] token, or what a learned query
    attends to. `head_norm` "batch" standardises it as MAE's linear probes do
    (https://arxiv.org/abs/2111.06377, appendix A.1); "probe" whitens it, and the head begins as a
    linear probe of the encoder (https://arxiv.org/abs/2202.10054, section 3.3). `layer_decay`: the
    rate of a layer is that of the next one times this (https://arxiv.org/abs/2106.08254, appendix).
    `drop_path` is the last block's. `show`: a masker whose visible tokens are all that the encoder
    gets in training, such as bands of a spectrogram hidden by AxisMask. `ema_decay`: an average of
    the weights, which is what is evaluated. `label_share` of the labels are used, the same share of
    every class.

    `task` Segmentation has its own head, so that `pooling` and `head_norm` have no say, and needs
    every token of whole samples: no `mix` and no `show`.
    """

    name: str
    modalities: tuple[Modality, ...]
    data: Data
    optim: Optim
    encoder: Encoder
    task: Task = field(default_factory=Classification)
    labels: Labels = field(default_factory=Labels)
    pooling: Literal["mean", "cls", "attentive"] = "mean"
    head_norm: Literal["layer", "batch", "probe"] = "layer"
    layer_decay: float = 0.75
    drop_path: float = 0.0
    frozen: Freeze = field(default_factory=Freeze)
    lora: Lora = field(default_factory=Lora)
    mix: Mix = field(default_factory=Mix)
    show: Masker | None = None
    ema_decay: float | None = None
    validation: Validation = field(default_factory=Validation)
    label_share: float = 1.0
    start: str | None = None
    run: Run = field(default_factory=Run)
    seed: int = 0

    def __post_init__(self) -> None:
        _check_data(self)
        if isinstance(self.task, Segmentation):
            _check_segmentation(self, self.task)
        if self.run.probe_every:
            raise RecipeError(
                f"run.probe_every={self.run.probe_every}: only pretraining is probed as it goes; a "
                "fine-tuning run is scored by itself, write --set run.probe_every=0"
            )
        if not 0.0 < self.label_share <= 1.0:
            raise RecipeError(f"label_share must be in (0, 1], got {self.label_share}; write 0.1")
        if not 0.0 < self.layer_decay <= 1.0:
            raise RecipeError(f"layer_decay must be in (0, 1], got {self.layer_decay}")
        if self.ema_decay is not None and not 0.0 < self.ema_decay < 1.0:
            raise RecipeError(f"ema_decay must be in (0, 1), got {self.ema_decay}; write 0.99")
        if self.pooling == "cls" and not self.encoder.class_token:
            raise RecipeError(
                "pooling='cls' takes an encoder with class_token=True; write --set pooling=mean"
            )
        if self.pooling == "attentive" and self.head_norm == "probe":
            raise RecipeError(
                "head_norm='probe' begins with a probe of pooled features, which pooling="
                "'attentive' has yet to learn; write --set pooling=mean or --set head_norm=layer"
            )
        if not 0 <= self.frozen.blocks <= self.encoder.depth:
            raise RecipeError(
                f"frozen.blocks must be in [0, {self.encoder.depth}], the encoder's depth, got "
                f"{self.frozen.blocks}"
            )
        for modality in self.modalities:
            if (self.mix.mixup or self.mix.cutmix) and modality.grid is None:
                raise RecipeError(
                    f"mix works on modalities whose tokens stand on a grid, {modality.name!r} has "
                    "none; write --set mix.mixup=0 --set mix.cutmix=0"
                )
            if self.show is not None:
                self.show.check(modality.grid, modality.name)

    @property
    def objectives(self) -> tuple[SupervisedLoss, ...]:
        return (SupervisedLoss(),)

    def modality(self, name: str, /) -> Any:
        """A modality of the encoder, or the labels of places, which are read like one."""
        if isinstance(self.task, Segmentation) and name == self.task.labels.name:
            return self.task.labels
        return next(modality for modality in self.modalities if modality.name == name)


def _check_segmentation(recipe: FinetuneRecipe, task: Segmentation) -> None:
    if len(recipe.modalities) != 1:
        names = [modality.name for modality in recipe.modalities]
        raise RecipeError(f"segmentation takes one modality, got {names}; leave the others out")
    for stream in recipe.data.streams:
        expected = {recipe.modalities[0].name, task.labels.name}
        for files in (stream.files, stream.held_out or stream.files):
            if set(files) != expected:
                raise RecipeError(
                    f"stream {stream.name}: expected files of {recipe.modalities[0].name!r} and "
                    f"{task.labels.name!r}, got those of {sorted(files)}"
                )
    unusable = {
        "labels.table": recipe.labels.table is not None,
        "mix": bool(recipe.mix.mixup or recipe.mix.cutmix),
        "show": recipe.show is not None,
        "pooling": recipe.pooling != "mean",
        "head_norm": recipe.head_norm != "layer",
    }
    if names := [name for name, there in unusable.items() if there]:
        raise RecipeError(
            f"segmentation has no use for {', '.join(names)}: labels are files beside the input, "
            "every token is needed, and task.head is the head; leave these as they are by default"
        )


def _check_data(recipe: FinetuneRecipe) -> None:
    names = [modality.name for modality in recipe.modalities]
    if isinstance(recipe.task, Segmentation):
        names.append(recipe.task.labels.name)
    for stream in recipe.data.streams:
        for name in stream.files:
            if name not in names:
                raise RecipeError(
                    f"data.streams.{stream.name}.files: no modality is called {name!r}; "
                    f"{nearest_names(name, names)}"
                )
        if stream.held_out is None:
            raise RecipeError(
                f"stream {stream.name}: fine-tuning is measured on held-out files; name them in "
                "`held_out`"
            )
    used = {name for stream in recipe.data.streams for name in stream.files}
    if unused := {modality.name for modality in recipe.modalities} - used:
        raise RecipeError(f"no stream has files for {sorted(unused)}; leave the modality out")
