"""What is measured while training: summed on the device, brought to the host only when logged."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor

from omnimask.data.mixture import realised
from omnimask.data.streams import BadFile, StepBatch
from omnimask.training.health import collapsed
from omnimask.training.job import Job
from omnimask.training.optimisation import StepReport


@runtime_checkable
class ProbesInTraining(Protocol):
    """What is measured of the model now and then, and leaves no trace in the training."""

    def due(self, step: int, /) -> bool: ...

    def numbers(self, step: int, /) -> dict[str, float]:
        """By name, for the log line after `step` steps; called on every process."""
        ...

    def left_out(self) -> Sequence[BadFile]:
        """Files that could not be read for the numbers since this was last asked."""
        ...


Probing = Callable[[Job, Accelerator], ProbesInTraining]


class StepMeter:
    """Collects the steps since the last log line; `summary` is the only place that waits."""

    def __init__(self, job: Job, accelerator: Accelerator, probing: Probing | None = None) -> None:
        self.job, self.accelerator = job, accelerator
        self.probes = None if probing is None else probing(job, accelerator)
        self.skipped_in_a_row = 0
        self._clear()

    def _clear(self) -> None:
        self.reports: list[StepReport] = []
        self.names: list[dict[str, tuple[str, ...]]] = []
        self.wait_s = 0.0
        self.started = time.perf_counter()

    def probes_due(self, step: int) -> bool:
        """Whether the model is probed after `step` steps, so that there is a log line for it."""
        return self.probes is not None and self.probes.due(step)

    def left_out_of_probes(self) -> Sequence[BadFile]:
        """Files that the probes of the last summary could not read."""
        return () if self.probes is None else self.probes.left_out()

    def waited(self, seconds: float) -> None:
        """Adds time spent waiting for the loader."""
        self.wait_s += seconds

    def add(self, report: StepReport, batch: StepBatch) -> None:
        self.reports.append(report)
        names: dict[str, tuple[str, ...]] = {}
        for groups in batch.micro:
            for group in groups:
                names[group.stream] = names.get(group.stream, ()) + group.names
        self.names.append(names)

    def summary(self, step: int) -> dict[str, Any]:
        """Means since the last call over all ranks, as plain numbers; `step` steps are done."""
        totals, skipped, norms = self._to_host()
        seconds = time.perf_counter() - self.started
        losses = {name: total / max(count, 1.0) for name, (total, count) in totals.items()}
        weights = {objective.name: objective.weight for objective in self.job.recipe.objectives}
        for was_skipped in skipped:
            self.skipped_in_a_row = self.skipped_in_a_row + 1 if was_skipped else 0
        tokens = sum(report.outcome.num_tokens for report in self.reports)
        health = {name: value.item() for name, value in self.reports[-1].outcome.health.items()}
        health |= self.job.numbers(step / self.job.recipe.optim.steps)
        summary = {
            "step": step,
            "loss": sum(weights.get(name, 1.0) * loss for name, loss in losses.items()),
            **{f"loss/{name}": loss for name, loss in losses.items()},
            **{f"tokens/{name}": count for name, (_, count) in totals.items()},
            "grad_norm": sum(norms) / len(norms),
            "lr": self.reports[-1].learning_rate,
            "tokens_per_s": tokens * self.accelerator.num_processes / seconds,
            "data_wait": self.wait_s / seconds,
            "seconds_per_step": seconds / len(self.reports),
            "skipped_in_a_row": self.skipped_in_a_row,
            **(realised(self.names) if self.job.recipe.data.mixture is not None else {}),
            **health,
            **(self.probes.numbers(step) if self.probes is not None else {}),
            "collapsed": collapsed(health),
            "skipped": [
                {"step": report.step + 1, "samples": names}
                for report, names, bad in zip(self.reports, self.names, skipped, strict=True)
                if bad
            ],
        }
        self._clear()
        return summary

    def _to_host(self) -> tuple[dict[str, tuple[float, float]], list[bool], list[float]]:
        """Loss totals and counts over all ranks; per step, whether it was skipped and its norm."""
        names = list(self.reports[0].outcome.sums)
        # A skipped step's loss may be NaN; it was not learnt from, so it does not count.
        sums_of_steps = torch.stack(
            [
                torch.stack([part for n in names for part in (sums[n].total, sums[n].count)])
                for sums in (report.outcome.sums for report in self.reports)
            ]
        )
        skipped = torch.stack([report.skipped for report in self.reports])
        summed = torch.where(skipped[:, None] > 0, 0.0, sums_of_steps).sum(dim=0)
        summed = self.accelerator.reduce(summed, reduction="sum")
        assert isinstance(summed, Tensor), "Accelerate reduces a tensor to a tensor"
        norms = torch.stack([report.grad_norm for report in self.reports])
        values = torch.cat([summed, skipped, norms]).tolist()
        pairs = {name: (values[2 * i], values[2 * i + 1]) for i, name in enumerate(names)}
        num_steps = len(self.reports)
        flags, norms = values[2 * len(names) :][:num_steps], values[-num_steps:]
        return pairs, [flag > 0 for flag in flags], norms
