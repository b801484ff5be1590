"""The live progress bar, or plain lines where the output is not a terminal."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from accelerate import PartialState

from omnimask.recipe.run_recipe import RunRecipe


def is_main_process() -> bool:
    """Whether this process writes what the run has to say."""
    return PartialState().is_main_process


def say(lines: Sequence[str]) -> None:
    """Prints on the main process alone."""
    if is_main_process():
        for line in lines:
            print(line)


class Progress:
    """Shows loss per objective, tokens/s, share of time waiting for data, rate, time left."""

    def __init__(self, recipe: RunRecipe, *, start_step: int, shown: bool) -> None:
        self.total, self.first, self.shown = recipe.optim.steps, start_step, shown
        self.names = [objective.name for objective in recipe.objectives]
        self.live = shown and sys.stderr.isatty()
        self.started = time.monotonic()
        self.printed = 0.0

    def start(self) -> None:
        self.started = time.monotonic()
        if not self.live:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self.task = self.bar.add_task("first steps", total=self.total, completed=self.first)
        self.bar.start()

    def update(self, numbers: Mapping[str, Any]) -> None:
        """Shows a log line; without a terminal at most one every five seconds, and the last."""
        if not self.shown:
            return
        text = self._describe(numbers)
        if self.live:
            self.bar.update(self.task, completed=numbers["step"], description=text)
            return
        now = time.monotonic()
        if now - self.printed >= 5.0 or numbers["step"] == self.total:
            self.printed = now
            step = numbers["step"]
            left = (now - self.started) / max(step - self.first, 1) * (self.total - step)
            print(f"step {step}/{self.total}, {left:.0f} s left: {text}", file=sys.stderr)

    def note(self, text: str) -> None:
        """A line above the bar."""
        if self.live:
            self.bar.console.print(text)
        elif self.shown:
            print(text, file=sys.stderr)

    def stop(self) -> None:
        if self.live:
            self.bar.stop()

    def _describe(self, numbers: Mapping[str, Any]) -> str:
        losses = " ".join(f"{name} {numbers[f'loss/{name}']:.3f}" for name in self.names)
        # The objectives last: a narrow terminal cuts the end of the line.
        return (
            f"loss {numbers['loss']:.3f} · {numbers['tokens_per_s']:,.0f} tokens/s · waiting for "
            f"data {numbers['data_wait']:.0%} · lr {numbers['lr']:.1e} · {losses}"
        )
