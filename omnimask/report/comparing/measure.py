"""One number of a run, by name: what a search makes small or large."""

from collections.abc import Mapping

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.report.comparing.runs import ComparedRun


def measures_of(run: ComparedRun) -> Mapping[str, float]:
    """By name: numbers of metrics.jsonl as they were last ("loss", "probe/image/linear"), and rows
    of the page's scores ("image/kNN accuracy").
    """
    last = {
        key: float(value)
        for line in run.lines
        for key, value in line.items()
        if isinstance(value, int | float) and key != "step"
    }
    return last | {f"{score.stream}/{score.what}": score.value for score in run.scores}


def measure_of(run: ComparedRun, name: str) -> float:
    """RecipeError, naming those that there are, where the run has no such number."""
    known = measures_of(run)
    if name not in known:
        raise RecipeError(
            f"{run.name} has no number called {name!r}; {nearest_names(name, known)} "
            "(a probe/... needs --set run.probe_every, scores of the report run.report)"
        )
    return known[name]
