"""The plain parts of a recipe: which data, how it is optimised, how the run is carried out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Files


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelTable:
    """Labels that probes and reports ask frozen features for; pretraining never sees them.

    `table`: a CSV or Parquet file below `data.root` with a row per sample, whose `name_column`
    holds the sample's name (the file's path below its folder, with or without the suffix).
    `classes` are columns of names, of which probes give the accuracy, `numbers` those of numbers
    (R²). An empty cell is no label.
    """

    table: str
    classes: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    name_column: str = "name"

    def __post_init__(self) -> None:
        columns = (*self.classes, *self.numbers)
        if not columns or len(set(columns)) < len(columns):
            raise RecipeError(
                f"labels of {self.table}: classes and numbers must name one column or more, each "
                f"once, got {columns}; write classes=('species',), numbers=('age',)"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One kind of group: which files give its modalities, and how many samples a step takes.

    Several entries in `files` are aligned by file name without suffix: one sample has all of them
    in one sequence (a video's frames and its sound track). `batch_size` is that of a micro-batch,
    over all processes: a step takes `batch_size` times `optim.accumulate` samples, however many
    processes share them. `held_out` files are never trained on; reports and probes use them.
    `labels` are what a report asks of the samples in place of the files' own label (their folder).
    """

    name: str
    files: Mapping[str, Files]
    batch_size: int = 8
    held_out: Mapping[str, Files] | None = None
    labels: LabelTable | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise RecipeError(f"stream {self.name}: batch_size must be >= 1, got {self.batch_size}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Shares of the streams among the samples of a step, in place of each stream's `batch_size`;
    a micro-batch has as many samples as these have together, to within one of each stream.

    `weights`: by stream, for all or none; without them a stream weighs as much as it has samples.
    A share is proportional to weight ** (1 / `temperature`): 1 takes weights as they are, more
    makes them alike (mT5, https://arxiv.org/abs/2010.11934, section 3.1, has 1 / 0.3). A stream's
    samples of a micro-batch are a multiple of `multiple`, for processes that share it.
    """

    weights: Mapping[str, float] | None = None
    temperature: float = 1.0
    multiple: int = 1

    def __post_init__(self) -> None:
        if not self.temperature > 0 or self.multiple < 1:
            raise RecipeError(
                "data.mixture: temperature must be positive and multiple >= 1, got "
                f"{self.temperature} and {self.multiple}"
            )
        for name, weight in (self.weights or {}).items():
            if not 0 < weight < float("inf"):
                raise RecipeError(
                    f"data.mixture.weights: that of {name} must be positive, got {weight}; leave "
                    "the stream out of the recipe if it is to have no share"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Where the samples are. Every micro-batch takes `batch_size` samples of every stream.

    `max_bad_files`: files that cannot be read are listed in `bad_files.jsonl` and replaced by
    another sample; the run stops when more than this many have failed, counted once each over
    all processes and restarts. 0 stops at the first. `mixture`: shares of the streams in place of
    their batch sizes.
    """

    root: str
    streams: tuple[Stream, ...]
    max_bad_files: int = 0
    mixture: Mixture | None = None

    def __post_init__(self) -> None:
        weights = self.mixture.weights if self.mixture is not None else None
        names = {stream.name for stream in self.streams}
        if weights is not None and set(weights) != names:
            raise RecipeError(
                f"data.mixture.weights must name every stream, {sorted(names)}, got "
                f"{sorted(weights)}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetOptim:
    """How the weights of trained targets (prototypes) are optimised, apart from the model's.

    `lr` is their peak; it follows the same schedule. They do not decay and are clipped apart.
    """

    lr: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.95)


@dataclass(frozen=True, kw_only=True, slots=True)
class CosineSchedule:
    """Half a cosine from the peak rate to the final one over `horizon` times the run's steps; above
    1 it is cut off at the run's end, before it has come down.
    """

    horizon: float = 1.0

    def __post_init__(self) -> None:
        if not self.horizon >= 1.0:
            raise RecipeError(
                f"optim.schedule.horizon must be >= 1, got {self.horizon}; 1.25 ends at 80 % of "
                "the schedule"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSchedule:
    """The peak rate, multiplied by `factor` at each of the shares `at` of the run; `final_lr` has
    no part in it.
    """

    at: tuple[float, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not self.at or not all(0.0 < share < 1.0 for share in self.at):
            raise RecipeError(
                f"optim.schedule.at must be shares of the run in (0, 1), got {self.at}; write "
                "(0.875,) for the last eighth"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Optim:
    """AdamW with linear warm-up and cosine decay; biases, norms and other vectors do not decay.

    `lr` is the peak, `final_lr` the end, `schedule` the way between them after the warm-up. The
    weight decay goes from `weight_decay` to `final_weight_decay` by half a cosine (over the horizon
    of the schedule), None keeps it. `clip_norm` limits the gradient's global
    norm, None does not. `accumulate` micro-batches make one step; processes share them. `targets`
    is for weights of trained targets alone.
    """

    steps: int
    lr: float = 1.5e-4
    final_lr: float = 0.0
    warmup_steps: int = 0
    weight_decay: float = 0.05
    final_weight_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float | None = 1.0
    accumulate: int = 1
    schedule: CosineSchedule | StepSchedule = field(default_factory=CosineSchedule)
    targets: TargetOptim = field(default_factory=TargetOptim)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.accumulate < 1:
            raise RecipeError(
                f"optim: steps and accumulate must be >= 1, got {self.steps}, {self.accumulate}"
            )
        if not 0 <= self.warmup_steps <= self.steps:
            raise RecipeError(
                f"optim.warmup_steps must be in [0, steps={self.steps}], got {self.warmup_steps}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """How a run is carried out; nothing here changes what is learnt, so a run may be resumed with
    other values.

    `precision`: "auto" is bf16 on a GPU and fp32 elsewhere. `num_workers` processes read samples
    ahead, sharing every group; what they hold ready is at most `loader_memory_mb` (MiB, in each
    process), but a sample for each worker; the step that is trained and the next lie beside it.
    `tracker`: an Accelerate tracker beside
    the JSON lines that are always written; TensorBoard's files lie in the run folder's
    `tensorboard`, wandb's in `wandb`; wandb and trackio list the run under the recipe's name and
    need the extra of their name. `max_nonfinite_steps` in a row stop the run, and so does a step,
    its data included, that takes longer than `step_timeout_s`. Every
    `probe_every` steps pretraining probes its frozen encoder on the labelled streams; 0 is never.
    Every `pictures_every` steps, and after the last, reconstructions go to the tracker; 0 is never.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_workers: int = 2
    loader_memory_mb: int = 4096
    log_every: int = 10
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    tracker: Literal["none", "tensorboard", "wandb", "trackio"] = "tensorboard"
    max_nonfinite_steps: int = 5
    step_timeout_s: float = 1800.0
    report_samples: int = 4
    report: bool = True
    probe_every: int = 0
    pictures_every: int = 0

    def __post_init__(self) -> None:
        if not self.step_timeout_s > 0.0:
            raise RecipeError(
                f"run.step_timeout_s must be > 0, got {self.step_timeout_s}; 1800 is half an hour"
            )
        if self.num_workers < 0 or self.loader_memory_mb < 1:
            raise RecipeError(
                "run: num_workers must be >= 0 and loader_memory_mb >= 1, got "
                f"{self.num_workers} and {self.loader_memory_mb}"
            )
        if self.probe_every < 0:
            raise RecipeError(
                f"run.probe_every must be >= 0, got {self.probe_every}; 0 is never, 500 is after "
                "every 500 steps"
            )
        if self.pictures_every < 0:
            raise RecipeError(
                f"run.pictures_every must be >= 0, got {self.pictures_every}; 0 is never"
            )
