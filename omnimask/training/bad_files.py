"""Files that a run could not read: listed once each, counted over all processes and restarts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from omnimask.data.streams import BadFile, StepBatch
from omnimask.foundation.collective import HostMeeting, own_rank
from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.foundation.json_lines import append_line, read_lines

BAD_FILES = "bad_files.jsonl"


class BadFiles:
    """The run's `bad_files.jsonl`, which the first process writes, and its budget.

    Every process knows all bad files of all, and of earlier starts. `note` shows a line to people.
    """

    def __init__(
        self, out: Path, *, budget: int, note: Callable[[str], None], meeting: HostMeeting
    ) -> None:
        self.path, self.budget, self.note = out / BAD_FILES, budget, note
        self.meeting = meeting
        own = {BadFile(**entry) for entry in read_lines(self.path)}
        self.listed = {_key(file) for files in self.meeting.gather(own) for file in files}

    @staticmethod
    def has_news(made: StepBatch | OmnimaskError) -> bool:
        """Whether the others have to hear of this process's batch."""
        return isinstance(made, OmnimaskError) or bool(made.bad)

    def agree(self, made: StepBatch | OmnimaskError, *, news: bool) -> StepBatch:
        """The batch, unless the run has to stop; `news` is whether any process has some.

        The same error in every process: one of them could not make its batch, or (DataError) more
        files than the budget could not be read for training.
        """
        said = made if isinstance(made, OmnimaskError) else made.bad
        for part in self.meeting.gather(said) if news else ():
            if isinstance(part, OmnimaskError):
                raise part
            self.add(part)
        failed = sum(use == "training" for use, *_ in self.listed)
        if failed > self.budget:
            raise DataError(
                f"{failed} files could not be read, more than data.max_bad_files={self.budget}; "
                f"they are listed in {self.path}. Mend or remove them and delete that list, or "
                "allow more of them; then the same command goes on"
            )
        assert isinstance(made, StepBatch), "a process that has an error has said so"
        return made

    def add(self, bad: Sequence[BadFile]) -> None:
        """Lists those that are new."""
        for file in bad:
            if _key(file) in self.listed:
                continue
            self.listed.add(_key(file))
            if own_rank() == 0:
                append_line(self.path, asdict(file))
            self.note(f"could not read {file.name} for {file.use}: {file.error}")


def _key(file: BadFile) -> tuple[str, str, str]:
    return file.use, file.stream, file.name
