"""What the services that show runs are told: Accelerate speaks to them, each in its own way."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.foundation.optional import needs
from omnimask.foundation.records import to_json
from omnimask.recipe.run_recipe import RunRecipe

_ID = "tracker-id.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerStart:
    """What `Accelerator.init_trackers` takes."""

    project: str
    config: dict[str, Any] | None
    options: dict[str, dict[str, Any]]


def check_tracker(tracker: str) -> None:
    """RecipeError where its package is missing: Accelerate would leave it out without a word."""
    if tracker not in ("none", "tensorboard"):
        needs(tracker, extra=tracker, what=f"run.tracker={tracker}")


def tracker_start(recipe: RunRecipe, out: Path) -> TrackerStart:
    """For the main process, the only one that speaks to a service.

    TensorBoard's files lie in the run folder. A service lists the run under the recipe's name, as
    one run however often it was stopped; what wandb writes lies in the run folder, too.
    """
    tracker = recipe.run.tracker
    if tracker == "tensorboard":
        return TrackerStart(project=tracker, config=None, options={})
    name, number = out.name or recipe.name, _run_id(out)
    own = {
        "wandb": {"name": name, "id": number, "dir": str(out)},
        "trackio": {"name": f"{name}-{number}"},  # which is all that it tells runs apart by
    }
    return TrackerStart(
        project=recipe.name,
        config={"recipe": to_json(recipe)},
        options={tracker: {**own[tracker], "resume": "allow"}},
    )


def _run_id(out: Path) -> str:
    """Drawn when the run first begins: nothing of the training hangs on it."""
    path = out / _ID
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n")
    return path.read_text().strip()


def log_pictures(tracker: Any, drawn: Mapping[str, Any], step: int) -> None:
    """Pictures (1 h w 3) uint8 by name, to a tracker of Accelerate."""
    if tracker.name == "tensorboard":
        tracker.log_images(dict(drawn), step=step, dataformats="NHWC")
    elif tracker.name == "trackio":  # Accelerate's knows numbers only
        import trackio

        tracker.log({name: trackio.Image(picture[0]) for name, picture in drawn.items()}, step=step)
    else:
        tracker.log_images(dict(drawn), step=step)
