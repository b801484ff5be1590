"""Ends a run whose step hangs, and says where: on a device, another process, or a file."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from omnimask.data.streams import StepBatch, Steps
from omnimask.foundation.errors import LostProcessError, OmnimaskError

_WORKERS_SPEAK_S = 1.0


class Watchdog:
    """Writes `hung-rank-0.txt` into the run folder and ends the process with the exit status of
    `LostProcessError`, when a step takes longer than `timeout_s`.

    It holds the samples of the step and the stack of every thread; workers of the loader write
    theirs to the error output.
    """

    def __init__(self, out: Path, steps: Steps, *, timeout_s: float) -> None:
        self.path = out / f"hung-rank-{steps.shard.rank}.txt"
        self.steps, self.timeout_s = steps, timeout_s
        self._deadline: float | None = None
        self._step, self._doing = 0, ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def step_begins(self, step: int) -> None:
        """The time of a step begins anew."""
        self._step, self._doing = step, "waiting for its data"
        self._deadline = time.monotonic() + self.timeout_s

    def has_batch(self, made: StepBatch | OmnimaskError) -> None:
        """The data are there; what follows is the step itself."""
        self._doing = "training on its samples, or waiting for another process"

    def pauses(self) -> None:
        """Until the next step begins nothing is timed."""
        self._deadline = None

    def _watch(self) -> None:
        while not self._ended.wait(min(self.timeout_s / 10, 1.0)):
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._bark()

    def _bark(self) -> None:
        names = self.steps.names(self._step)
        lines = [
            f"step {self._step + 1} takes longer than run.step_timeout_s={self.timeout_s}: this "
            f"process (rank {self.steps.shard.rank}) is {self._doing}. Its samples:",
            *(f"  {stream}: {', '.join(part)}" for stream, part in names.items()),
        ]
        with self.path.open("w") as file:
            print("\n".join(lines), file=file, flush=True)
            faulthandler.dump_traceback(file, all_threads=True)
        print(f"omnimask: {lines[0]} they and all stacks are in {self.path}", file=sys.stderr)
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGUSR2)
        time.sleep(_WORKERS_SPEAK_S)
        for worker in multiprocessing.active_children():
            worker.kill()
        sys.stderr.flush()
        os._exit(LostProcessError.status)  # whatever hangs would hang an orderly end, too
