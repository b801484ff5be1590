"""The scores of several runs side by side."""

from collections.abc import Mapping, Sequence

import numpy as np

from omnimask.report.comparing.runs import ComparedRun, Score
from omnimask.report.html import Html, joined, paragraphs, styled, table, with_interval
from omnimask.report.tables import four_digits

_INTERVALS = "Intervals are of 95 %, over held-out samples; a loss has none."
_SEEDS = "Mean ± standard deviation over the runs of a group, which differ in their seed alone."


def score_tables(runs: Sequence[ComparedRun]) -> Html:
    """A column for each run, and before it one for each group of several runs."""
    tables = [_table(runs), paragraphs([_INTERVALS])]
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    if any(len(members) > 1 for members in groups.values()):
        tables = [_group_table(groups), paragraphs([_SEEDS]), *tables]
    return joined(*tables)


def rows_of(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    """(stream, what) of all scores of all runs, in their order; the last training loss first."""
    every = [(score.stream, score.what) for run in runs for score in all_scores(run)]
    return list(dict.fromkeys(every))


def all_scores(run: ComparedRun) -> list[Score]:
    """With the training loss of the last line, and probes in training as they were last."""
    last: dict[str, float] = {}
    for line in run.lines:
        last |= {
            key: value
            for key, value in line.items()
            if isinstance(value, int | float) and (key == "loss" or key.startswith("probe/"))
        }
    training = [
        Score(
            stream="all" if key == "loss" else key.split("/")[1],
            what="training loss, last" if key == "loss" else f"{key.split('/')[2]} in training",
            value=value,
        )
        for key, value in last.items()
    ]
    return [*training, *run.scores]


def _table(runs: Sequence[ComparedRun]) -> Html:
    found = [{(s.stream, s.what): s for s in all_scores(run)} for run in runs]
    rows = [
        [stream, what, *(_cell(scores.get((stream, what))) for scores in found)]
        for stream, what in rows_of(runs)
    ]
    return table(("stream", "measure", *(run.name for run in runs)), rows, num_text=2)


def _cell(score: Score | None) -> Html | str:
    if score is None:
        return "–"
    value = four_digits(score.value)
    if score.low is None or score.high is None:
        return value
    return with_interval(value, four_digits(score.low), four_digits(score.high))


def _group_table(groups: Mapping[str, Sequence[ComparedRun]]) -> Html:
    rows = []
    for stream, what in rows_of([run for members in groups.values() for run in members]):
        cells = [stream, what]
        for members in groups.values():
            values = [
                score.value
                for run in members
                for score in all_scores(run)
                if (score.stream, score.what) == (stream, what)
            ]
            cells.append(_spread(values))
        rows.append(cells)
    return table(("stream", "measure", *groups), rows, num_text=2)


def _spread(values: Sequence[float]) -> Html | str:
    if not values:
        return "–"
    mean = four_digits(float(np.mean(values)))
    if len(values) == 1:
        return mean
    deviation = four_digits(float(np.std(values, ddof=1)))
    about = f" ± {deviation} of {len(values)}"
    return joined(styled("span", "strong", mean), styled("span", "small", about))
