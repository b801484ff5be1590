"""What counts of the metrics that a run wrote while it trained."""

from collections.abc import Sequence
from typing import Any


def drop_repeated(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Only what counts after restarts: a line at a step withdraws all before it from that step on.

    Runs of format 1 that were stopped at step 250 and went on from the checkpoint of step 200 have
    the steps after 200 twice; today the first of them go into `repeated/`.
    """
    kept: list[dict[str, Any]] = []
    for line in lines:
        while kept and kept[-1]["step"] >= line["step"]:
            kept.pop()
        kept.append(line)
    return kept


def trained_seconds(lines: Sequence[dict[str, Any]]) -> float:
    """Time of the steps that count, without start-up, checkpoints' waiting and this report."""
    before, seconds = 0, 0.0
    for line in lines:
        seconds += line["seconds_per_step"] * (line["step"] - before)
        before = line["step"]
    return seconds
