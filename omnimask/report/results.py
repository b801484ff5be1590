"""Everything a report shows, as numbers."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from omnimask.recipe.recipe import Recipe
from omnimask.report.evaluate import HeldOutLoss
from omnimask.report.scores import StreamScore
from omnimask.transfer.probing.columns import ColumnScores
from omnimask.transfer.searching.across import Retrieval


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """`steps_done` may be less than the recipe's. `finished` is an ISO date and time in UTC, that
    of the last checkpoint. `seconds` is the time of the steps themselves. `left_out` says for a
    stream or a table why it has no numbers. `hardware` made the report; `trained_on` wrote the last
    checkpoint, empty where that does not say.
    """

    recipe: Recipe
    steps_done: int
    finished: str
    seconds: float
    trained_parameters: int
    encoder_parameters: int
    lines: tuple[Mapping[str, Any], ...]
    losses: tuple[HeldOutLoss, ...]
    columns: tuple[ColumnScores, ...]
    scores: tuple[StreamScore, ...]
    across: tuple[Retrieval, ...]
    left_out: tuple[str, ...]
    bad_files: tuple[Mapping[str, Any], ...]
    skipped_steps: tuple[Mapping[str, Any], ...]
    unreadable: Mapping[str, str]
    versions: Mapping[str, str]
    hardware: Mapping[str, str]
    trained_on: Mapping[str, str]

    def per_objective(self) -> dict[str, tuple[float, float | None]]:
        """Held-out loss of the model and of the best constants, over all streams together."""
        found = {}
        for objective in self.recipe.objectives:
            parts = [x for x in self.losses if x.objective == objective.name and x.tokens]
            tokens = sum(part.tokens for part in parts)
            if not tokens:
                continue
            model = sum(part.model * part.tokens for part in parts) / tokens
            constants = [part.constant * part.tokens for part in parts if part.constant is not None]
            whole = len(constants) == len(parts)
            found[objective.name] = (model, sum(constants) / tokens if whole else None)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a number that is not finite becomes null."""
        plain = {
            "recipe": self.recipe.name,
            "steps": self.steps_done,
            "finished": self.finished,
            "seconds": self.seconds,
            "trained_parameters": self.trained_parameters,
            "encoder_parameters": self.encoder_parameters,
            "held_out_losses": [asdict(loss) for loss in self.losses],
            "linear": [asdict(scores) for scores in self.columns],
            "knn": [
                {
                    **asdict(score),
                    "untrained_mean": score.untrained_mean,
                    "untrained_deviation": score.untrained_deviation,
                }
                for score in self.scores
            ],
            "across": [asdict(way) for way in self.across],
            "left_out": list(self.left_out),
            "bad_files": [dict(entry) for entry in self.bad_files],
            "skipped_steps": [dict(entry) for entry in self.skipped_steps],
            "unreadable": dict(self.unreadable),
            "versions": dict(self.versions),
            "hardware": dict(self.hardware),
            "trained_on": dict(self.trained_on),
            "metrics": [dict(line) for line in self.lines],
        }
        return _finite(plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
