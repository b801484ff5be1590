"""Times in turn in one process: of those on a busy machine only ratios say something."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

Seconds = dict[str, list[float]]  # by what was timed, one number per round


def finished(device: str) -> None:
    """Waits for what the device still has to do."""
    if device != "cpu":
        torch.cuda.synchronize()


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int = 1,
    device: str = "cpu",
) -> Seconds:
    """All of them in turn, `rounds` times; who is first changes with every round."""
    names = list(runs)
    seconds: Seconds = {name: [] for name in names}
    for number in range(warmup + rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            finished(device)
            start = time.perf_counter()
            runs[name]()
            finished(device)
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(of: list[float], to: list[float]) -> dict[str, float]:
    """Of times of the same rounds: the median ratio, the smallest and the largest."""
    ratios = [first / second for first, second in zip(of, to, strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "from": round(min(ratios), 3),
        "to": round(max(ratios), 3),
    }


def compare(first: Callable[[], object], second: Callable[[], object], rounds: int) -> dict:
    """Time of `second` over time of `first`: median, smallest, largest of the rounds."""
    seconds = interleaved({"first": first, "second": second}, rounds=rounds)
    medians = [round(statistics.median(part), 4) for part in seconds.values()]
    return {**ratio(seconds["second"], seconds["first"]), "seconds": medians}


def matrix_rate(device: str, dtype: torch.dtype, size: int, repeats: int = 5) -> float:
    """FLOP/s of a product of two square matrices of random numbers, the best of some tries."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = interleaved(
        {"product": lambda: left @ right}, rounds=repeats, warmup=2, device=device
    )
    return 2 * size**3 / min(seconds["product"])


def summary(seconds: list[float]) -> dict[str, Any]:
    return {
        "seconds": round(statistics.median(seconds), 6),
        "fastest": round(min(seconds), 6),
        "slowest": round(max(seconds), 6),
        "rounds": len(seconds),
    }
