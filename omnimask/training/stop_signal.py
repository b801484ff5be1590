"""Signals that ask a run to end: the step is finished and saved first."""

import signal
from types import FrameType
from typing import Any

from omnimask.foundation.errors import StoppedError

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignal:
    """SIGTERM, SIGINT and SIGUSR1. Before the first step they end the run at once; from then on
    `number` is the one that came, 0 for none, and whoever runs the steps has to look.
    """

    def __init__(self) -> None:
        self.number, self.stepping = 0, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in STOPPING:
            self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, signal.SIG_DFL)  # a second signal stops at once
        if not self.stepping:
            raise stopped(number, "before a step was done")

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def stopped(number: int, when: str) -> StoppedError:
    """The error of a run that the signal `number` has ended."""
    return StoppedError(
        f"stopped by {signal.Signals(number).name} {when}; the same command goes on from there",
        by_hand=number == signal.SIGINT,
    )
