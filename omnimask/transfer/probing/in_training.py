"""Probes of the encoder while it is pretrained, which leave no trace in the training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from omnimask.data.samples import Unreadable
from omnimask.data.streams import BadFile, StreamReader
from omnimask.masking.full import full_plan
from omnimask.network.encoder import Encoded
from omnimask.tokens.tokens import Group, View
from omnimask.training.job import Job
from omnimask.training.pretraining import Pretraining
from omnimask.training.step import MaskedModel
from omnimask.transfer.probing.choice import choose_test, choose_train, why_not
from omnimask.transfer.probing.features import Kept, encode_samples
from omnimask.transfer.probing.measures import Pair, score_pairs
from omnimask.transfer.probing.settings import Probes

_SETTINGS = Probes(random_seeds=())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    train: StreamReader
    test: StreamReader
    train_ids: tuple[int, ...]
    test_ids: tuple[int, ...]


class TrainingProbes:
    """kNN and linear probes every `run.probe_every` steps, on the main process; others wait.

    Nothing random is drawn, no gradient is kept, and every module is left in the mode that it was
    in, so that the weights are those of a run without probes.
    """

    def __init__(self, job: Job, accelerator: Accelerator) -> None:
        assert isinstance(job, Pretraining), "FinetuneRecipe refuses probe_every"
        self.job, self.accelerator = job, accelerator
        self.device = accelerator.device
        self.every = job.recipe.run.probe_every
        self.streams: list[_Chosen] | None = None
        self.bad: list[BadFile] = []

    def due(self, step: int) -> bool:
        """Whether there are probes after `step` steps."""
        return bool(self.every) and step % self.every == 0

    def numbers(self, step: int) -> dict[str, float]:
        """`probe/<stream>/<probe>` by name, on the main process; empty when none are due."""
        if not self.due(step):
            return {}
        found = {}
        if self.accelerator.is_main_process:
            with evaluating(self.job.model):
                found = self._measure(self.job.model)
        self.accelerator.wait_for_everyone()
        return found

    def left_out(self) -> list[BadFile]:
        """Files that could not be read since this was last asked, on the main process."""
        bad, self.bad = self.bad, []
        return bad

    def _measure(self, model: MaskedModel) -> dict[str, float]:
        if self.streams is None:
            self.streams = self._choose()
        found = {}
        for stream in self.streams:
            name, unreadable = stream.train.stream.name, Unreadable()
            sides = [
                encode_samples(
                    [lambda group: _encode(model, group)],
                    reader,
                    ids,
                    Kept(),
                    self.device,
                    unreadable,
                )
                for reader, ids in (
                    (stream.train, stream.train_ids),
                    (stream.test, stream.test_ids),
                )
            ]
            self.bad += [
                BadFile(stream=name, name=file, error=error, use="probes")
                for file, error in unreadable.errors.items()
            ]
            if sides[0] is None or sides[1] is None:
                continue
            scores = score_pairs(
                name,
                [Pair(train=sides[0][0], test=sides[1][0])],
                _SETTINGS,
                layers=(-1,),
                few_shot=(),
                device=self.device,
            )
            for score in scores:
                found[f"probe/{name}/{score.probe}"] = score.value
        return found

    def _choose(self) -> list[_Chosen]:
        """The labelled streams with held-out files; the same samples at every step."""
        recipe, device = self.job.recipe, self.device
        streams = []
        for stream in recipe.data.streams:
            if stream.held_out is None:
                continue
            train = StreamReader(stream, stream.files, recipe)
            test = StreamReader(stream, stream.held_out, recipe)
            train_ids = tuple(choose_train(train, _SETTINGS, device))
            test_ids = tuple(choose_test(test, _SETTINGS, device))
            labels = [train.label(i) for i in train_ids], [test.label(i) for i in test_ids]
            if why_not(*labels) is None:
                streams.append(
                    _Chosen(train=train, test=test, train_ids=train_ids, test_ids=test_ids)
                )
        return streams


def _encode(model: MaskedModel, group: Group) -> Encoded:
    view = View.of(group, model.modalities)
    return model.backbone([(view, full_plan(view.layout))])[0]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards for every module the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
