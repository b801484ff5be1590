"""When the checkpoints of a run are written, in which all its processes have a part."""

from pathlib import Path
from types import TracebackType

from omnimask.foundation.collective import HostMeeting
from omnimask.recipe.batch_share import samples_per_step
from omnimask.training.checkpoint import Checkpoint
from omnimask.training.checkpoint_writer import CheckpointWriter
from omnimask.training.optimisation import Training, optimizer_tensors


class Checkpoints:
    """Begins them and waits for them; the first process writes, or all where the model is sharded.

    Every process calls `begin`, `finish` and `raise_failure` at the same step.
    """

    def __init__(self, training: Training, out: Path, meeting: HostMeeting) -> None:
        self.training, self.meeting = training, meeting
        self.last = 0  # after how many steps one was begun
        accelerator = training.accelerator
        parts = accelerator.num_processes if training.sharded else 1
        part = accelerator.process_index
        keep = training.recipe.run.keep_checkpoints
        self.writer = (
            CheckpointWriter(out, keep=keep, part=part, parts=parts) if part < parts else None
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """A run that ends with an error keeps the checkpoint that is being written, if it is one of
        this process alone.
        """
        if self.writer is not None and self.writer.parts == 1:
            self.writer.wait()

    @property
    def failed(self) -> bool:
        """Whether this process could not write its part."""
        return self.writer is not None and self.writer.error is not None

    def begin(self, step: int) -> None:
        """Copies what a run needs to go on after `step` steps; it is written while it goes on."""
        self.finish()
        self.last, training = step, self.training
        weights = training.model.state_dict()
        optimizer = optimizer_tensors(training.model, training.optimizer)
        if self.writer is None:
            return
        self.writer.begin(
            Checkpoint(
                recipe=training.recipe,
                weights=weights,
                optimizer=optimizer,
                state={
                    "step": step,
                    "samples_seen": training.steps.samples_seen(step),
                    "samples_per_step": samples_per_step(training.recipe),
                    **training.job.state(),
                },
            )
        )

    def finish(self) -> None:
        """Waits until the checkpoint that was begun, if any, is whole."""
        if self.writer is not None:
            self.writer.wait()
        if self.meeting.most([self.failed])[0]:
            self.raise_failure()
        if self.writer is not None and self.writer.under_way:
            self.writer.publish()
            self.meeting.most([0])  # or a process that ends now could take the first one with it

    def raise_failure(self) -> None:
        """The error of the first process that has one, in all of them."""
        error = None if self.writer is None else self.writer.error
        raise next(error for error in self.meeting.gather(error) if error is not None)
