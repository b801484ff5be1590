"""Held-out losses and frozen features of every stream, each file read once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from omnimask.data.label_tables import label_columns
from omnimask.data.samples import Batch, Unreadable, choose_samples, read_batches, spread
from omnimask.data.streams import StreamReader
from omnimask.foundation.rng import permutation
from omnimask.network.encoder import Backbone, Encoded
from omnimask.objectives.late_targets import LateTarget
from omnimask.objectives.objective import Objective, Outcome
from omnimask.objectives.targets import Target
from omnimask.recipe.recipe import Recipe
from omnimask.report.baselines import fit_constant
from omnimask.report.map import HeldOutVectors
from omnimask.tokens.modality import Label
from omnimask.tokens.tokens import View
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.probing.columns import Columns
from omnimask.transfer.probing.knn import Features, mean_features

MAX_FIT_SAMPLES = 512
MAX_FIT_TOKENS = 2048
MAX_RAW_VALUES = 8192
RANDOM_SEEDS = (1000, 1001, 1002)  # added to the recipe's seed


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutLoss:
    """Mean losses of one objective on one stream's held-out files, over `tokens` counted tokens.

    `constant` is the loss of the best constant prediction fitted on training samples; None, with
    the reason in `note`, where there is no such thing.
    """

    stream: str
    objective: str
    samples: int
    tokens: int
    model: float
    constant: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFeatures:
    """Training and held-out samples of one stream in several feature spaces.

    `trained` is the frozen encoder, `untrained` encoders with random weights, `raw` the token
    values themselves: `num_raw` of them per sample, of which at most MAX_RAW_VALUES were taken.
    `columns` are what their features are asked for, `names` the samples' own.
    """

    stream: str
    trained: tuple[Features, Features]
    untrained: tuple[tuple[Features, Features], ...]
    raw: tuple[Features, Features]
    num_raw: int
    columns: tuple[Columns, Columns]
    names: tuple[tuple[str, ...], tuple[str, ...]]

    def encoders(self, space: str) -> tuple[tuple[Features, Features], ...]:
        """Both sides of "trained", "untrained" or "raw", by encoder."""
        return {"trained": (self.trained,), "untrained": self.untrained, "raw": (self.raw,)}[space]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    losses: tuple[HeldOutLoss, ...]
    features: StreamFeatures | None  # None where no sample has a label
    vectors: HeldOutVectors | None  # None where no held-out sample could be read


def untrained_backbones(recipe: Recipe) -> list[Backbone]:
    """The recipe's encoder with other random weights, never trained."""
    seeds = [recipe.seed + offset for offset in RANDOM_SEEDS]
    return [build_model(replace(recipe, seed=seed)).backbone.eval() for seed in seeds]


@torch.no_grad()
def evaluate_stream(
    model: MaskedModel,
    train: StreamReader,
    held_out: StreamReader,
    *,
    untrained: Sequence[Backbone],
    unreadable: Unreadable,
) -> Evaluated:
    """Reads the chosen training and held-out samples at their centre views, each once."""
    device = next(model.parameters()).device
    held_out_ids = choose_samples(held_out, training=False, device=device)
    asked = label_columns(held_out, held_out_ids)
    spaces = _Spaces(model, untrained) if asked else None
    train_ids = choose_samples(train, training=True, device=device)
    if not asked:
        train_ids = train_ids[:: max(1, len(train_ids) // MAX_FIT_SAMPLES)]

    truths = _Truths(model, train, every=max(1, len(train_ids) // MAX_FIT_SAMPLES))
    train_features = _Collected()
    for batch, view in _views(model, train, train_ids, unreadable):
        truths.add(view)
        if spaces is not None:
            train_features.add(spaces.of(view), batch)
    constants = truths.constants()

    losses = _Losses(model, held_out, constants)
    held_out_features = _Collected()
    for batch, view in _views(model, held_out, held_out_ids, unreadable):
        losses.add(view)
        held_out_features.add(_spaces_of(model, spaces, view), batch)
    features = None
    if spaces is not None and train_features.labels and held_out_features.labels:
        known = label_columns(train, train_ids)
        pairs = list(zip(train_features.spaces(), held_out_features.spaces(), strict=True))
        features = StreamFeatures(
            stream=train.stream.name,
            trained=pairs[0],
            untrained=tuple(pairs[1:-1]),
            raw=pairs[-1],
            num_raw=spaces.num_raw,
            columns=(
                _of_those(known, [train.name(i) for i in train_ids], train_features.names),
                _of_those(asked, [held_out.name(i) for i in held_out_ids], held_out_features.names),
            ),
            names=(tuple(train_features.names), tuple(held_out_features.names)),
        )
    vectors = _vectors(held_out_features, held_out)
    return Evaluated(losses=losses.result(), features=features, vectors=vectors)


def _of_those(columns: Columns, names: Sequence[str], kept: Sequence[str]) -> Columns:
    """The labels of the samples that could be read, in their order."""
    places = {name: place for place, name in enumerate(names)}
    return {column: [labels[places[name]] for name in kept] for column, labels in columns.items()}


def _vectors(found: "_Collected", reader: StreamReader) -> HeldOutVectors | None:
    if not found.names:
        return None
    trained = found.spaces()[0]
    return HeldOutVectors(
        kind=" + ".join(reader.modalities),
        names=tuple(found.names),
        labels=trained.labels,
        values=trained.values.astype(np.float32),
    )


def _spaces_of(model: MaskedModel, spaces: "_Spaces | None", view: View) -> list[np.ndarray]:
    """The trained encoder's features first; the other spaces only where a probe compares them."""
    return spaces.of(view) if spaces else [mean_features(model.backbone, view).cpu().numpy()]


def _views(
    model: MaskedModel, reader: StreamReader, indices: Sequence[int], unreadable: Unreadable
) -> Iterator[tuple[Batch, View]]:
    device = next(model.parameters()).device
    for batch in read_batches(reader, indices, unreadable, device=device):
        yield batch, model.views([batch.group.to(device)])[0]


def _objectives(model: MaskedModel, reader: StreamReader) -> list[Objective]:
    return [o for o in model.recipe.objectives if o.modality in reader.modalities]


class _Spaces:
    """A batch in every feature space: trained, untrained encoders, raw token values."""

    def __init__(self, model: MaskedModel, untrained: Sequence[Backbone]) -> None:
        device = next(model.parameters()).device
        self.backbones = [model.backbone, *(backbone.to(device) for backbone in untrained)]
        self.num_raw = 0

    def of(self, view: View) -> list[np.ndarray]:
        encoded = [mean_features(backbone, view) for backbone in self.backbones]
        return [part.cpu().numpy() for part in [*encoded, self._raw(view)]]

    def _raw(self, view: View) -> Tensor:
        """Token values with zeros at invalid tokens, one row per sample, thinned out if many."""
        parts = [
            torch.where(part.valid[:, :, None], part.values.float(), 0.0).flatten(1)
            for part in view.tokens.values()
        ]
        values = torch.cat(parts, dim=1)
        self.num_raw = values.shape[1]
        if self.num_raw <= MAX_RAW_VALUES:
            return values
        chosen = permutation(self.num_raw, "raw values")[:MAX_RAW_VALUES]
        return values[:, torch.from_numpy(chosen).to(values.device)]


class _Collected:
    """Features of batches, one list per feature space."""

    def __init__(self) -> None:
        self.parts: list[list[np.ndarray]] = []
        self.labels: list[Label] = []
        self.names: list[str] = []

    def add(self, spaces: list[np.ndarray], batch: Batch) -> None:
        self.parts.append(spaces)
        self.labels.extend(batch.labels)
        self.names.extend(batch.group.names)

    def spaces(self) -> list[Features]:
        joined = [np.concatenate(parts) for parts in zip(*self.parts, strict=True)]
        return [Features(values=values, labels=tuple(self.labels)) for values in joined]


class _Truths:
    """Training truths at the tokens that the objectives count, for the best constants."""

    def __init__(self, model: MaskedModel, reader: StreamReader, *, every: int) -> None:
        self.model, self.every, self.seen = model, every, 0
        objectives = _objectives(model, reader)
        # Teachers' outputs and late targets change with the model: no constant is best for them.
        self.objectives = [
            o for o in objectives if isinstance(o.target, Target) and not o.target.teacher_layers
        ]
        self.parts: dict[str, list[Tensor]] = {o.name: [] for o in self.objectives}

    def add(self, view: View) -> None:
        """Takes every `every`-th batch."""
        self.seen += 1
        if not self.objectives or (self.seen - 1) % self.every:
            return
        truths = self.model.truths(view, Outcome())
        for plan in self.model.masks(view, 1.0):
            encoded = Encoded(view=view, plan=plan)
            for objective in self.objectives:
                truth = encoded.at_predicted(truths[objective.name], objective.modality)
                counted = truth[objective.counted(encoded)].float()
                self.parts[objective.name].append(_thinned(counted, MAX_FIT_TOKENS).cpu())

    def constants(self) -> dict[str, Tensor]:
        """By objective; none for one that never had a token to predict."""
        found = {
            objective: _thinned(torch.cat(self.parts[objective.name]), MAX_FIT_TOKENS)
            for objective in self.objectives
            if self.parts[objective.name]
        }
        return {
            objective.name: fit_constant(
                objective.loss, truths, self.model.recipe.num_predicted(objective)
            )
            for objective, truths in found.items()
            if len(truths)
        }


def _thinned(rows: Tensor, count: int) -> Tensor:
    """At most `count` rows, evenly spread."""
    return rows[spread(len(rows), count)] if len(rows) > count else rows


class _Losses:
    """Sums of the held-out losses of a stream's objectives, of the model and of the constants."""

    def __init__(
        self, model: MaskedModel, reader: StreamReader, constants: Mapping[str, Tensor]
    ) -> None:
        device = next(model.parameters()).device
        self.model, self.stream = model, reader.stream.name
        self.constants = {name: constant.to(device) for name, constant in constants.items()}
        self.objectives = _objectives(model, reader)
        self.sums = {o.name: torch.zeros(3, dtype=torch.float64) for o in self.objectives}
        self.samples = 0

    def add(self, view: View) -> None:
        self.samples += len(view.group)
        truths = self.model.truths(view, Outcome())
        for encoded in self.model.encode([view], [self.model.masks(view, 1.0)]):
            outcome = Outcome()
            self.model.losses(encoded, truths, outcome)
            for objective in self.objectives:
                of_model = outcome.sums[objective.name]
                of_constant = torch.zeros_like(of_model.total)
                if objective.name in self.constants:
                    of_constant = self._of_constant(objective, truths[objective.name], encoded)
                parts = [of_model.total, of_constant, of_model.count]
                self.sums[objective.name] += torch.stack(parts).double().cpu()

    def _of_constant(self, objective: Objective, truth: Tensor, encoded: Encoded) -> Tensor:
        """The summed loss of predicting the best constant in place of what the model says."""
        constant = self.constants[objective.name].expand(*encoded.plan.predict_ids.shape, -1)
        truth = encoded.at_predicted(truth, objective.modality)
        return objective.losses(constant, truth, objective.counted(encoded)).sum()

    def result(self) -> tuple[HeldOutLoss, ...]:
        found = []
        for objective in self.objectives:
            model, constant, count = self.sums[objective.name].tolist()
            note = ""
            if isinstance(objective.target, LateTarget):
                note = "its targets are made from the model's own predictions"
            elif objective.target.teacher_layers:
                note = "its targets are outputs of a teacher"
            elif count == 0:
                note = "no held-out token to predict"
            has_constant = objective.name in self.constants and count > 0
            found.append(
                HeldOutLoss(
                    stream=self.stream,
                    objective=objective.name,
                    samples=self.samples,
                    tokens=int(count),
                    model=model / max(count, 1.0),
                    constant=constant / count if has_constant else None,
                    note=note,
                )
            )
        return tuple(found)
