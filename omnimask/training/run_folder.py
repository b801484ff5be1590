"""The run folder: which recipe it belongs to, and the lines written into it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from accelerate import Accelerator

from omnimask.foundation.collective import HostMeeting
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.json_lines import append_line, read_lines
from omnimask.foundation.records import dump, load, to_json
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.training.bad_files import BadFiles
from omnimask.training.checkpoint import read_saved, write_json
from omnimask.training.progress import Progress
from omnimask.training.trackers import log_pictures, tracker_start


def claim_run_folder(out: Path, recipe: RunRecipe, *, write: bool) -> None:
    """Makes `out` the folder of `recipe`; RecipeError naming the fields if it is another's.

    `run`, `data.root` and `data.max_bad_files` may differ between the first start and a later one,
    and so may what makes up the batch and the number of steps, of which `going_on.py` judges.
    """
    path = out / "recipe.json"
    if path.exists():
        # Through the records, so that a field that is new since then has its default.
        before, now = to_json(load(read_saved(path), str(path))), to_json(recipe)
        changed = _differences(_comparable(before), _comparable(now))
        if changed:
            raise RecipeError(
                f"{out} belongs to another recipe; these fields differ: {'; '.join(changed[:8])}. "
                "Choose another --out, or give the same recipe to go on with this run"
            )
        if write and now["optim"] != before["optim"]:  # it is a longer run from now on
            write_json(path, dump(recipe))
        return
    if out.exists() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty and is no run folder; choose another --out")
    if write:
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, dump(recipe))


def set_repeated_aside(out: Path, step: int) -> None:
    """Moves the lines of steps after `step`, which a run that goes on from there will write again,
    out of every log of the run into `repeated/`, so that a log has one line per step.
    """
    for log in sorted(out.glob("*.jsonl")):
        lines = log.read_text().splitlines(keepends=True)
        steps = [int(entry.get("step", 0)) for entry in read_lines(log)]
        repeated = [line for line, at in zip(lines, steps, strict=True) if at > step]
        if not repeated:
            continue
        aside = out / "repeated" / log.name
        aside.parent.mkdir(exist_ok=True)
        with aside.open("a") as file:
            file.writelines(repeated)
        kept = log.with_name(log.name + ".tmp")
        kept.write_text("".join(x for x, at in zip(lines, steps, strict=True) if at <= step))
        kept.replace(log)


def _comparable(recipe: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in recipe.items() if key != "run"}
    kept["optim"] = _without(recipe["optim"], {"steps", "accumulate"})
    kept["data"] = _without(recipe["data"], {"root", "max_bad_files"})
    kept["data"]["streams"] = [_without(s, {"batch_size"}) for s in recipe["data"]["streams"]]
    return kept


def _without(fields: dict[str, Any], free: set[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in free}


def _differences(before: Any, after: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = list(dict.fromkeys([*before, *after]))
        return [
            line
            for key in keys
            for line in _differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after))
        return [x for i, (old, new) in pairs for x in _differences(old, new, f"{path}.{i}")]
    return [] if before == after else [f"{path}: {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


Drawing = Callable[[Any], Mapping[str, Any]]  # of a model, pictures (1 h w 3) uint8 by name


class RunLog:
    """Writes what happens: JSON lines, the tracker, the progress bar. Only the main process does.

    Every line is handed to the operating system at once, so it outlives a killed process.
    """

    def __init__(
        self,
        out: Path,
        recipe: RunRecipe,
        *,
        accelerator: Accelerator,
        start_step: int,
        meeting: HostMeeting,
    ) -> None:
        self.out, self.recipe, self.accelerator = out, recipe, accelerator
        self.is_main = accelerator.is_main_process
        self.progress = Progress(recipe, start_step=start_step, shown=self.is_main)
        self.bad_files = BadFiles(
            out, budget=recipe.data.max_bad_files, note=self.progress.note, meeting=meeting
        )
        self.collapsed: set[str] = set()
        if recipe.run.tracker != "none":
            _start_tracker(accelerator, recipe, out)

    def __enter__(self) -> "RunLog":
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def pictures(self, drawn: Mapping[str, Any], step: int) -> None:
        """Hands pictures to the tracker, if there is one."""
        for tracker in self.accelerator.trackers:
            log_pictures(tracker, drawn, step)

    def step(self, summary: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl, and one of skipped_steps.jsonl per skipped step."""
        skipped = summary["skipped"]
        numbers = {key: value for key, value in summary.items() if key != "skipped"}
        if self.is_main:
            append_line(self.out / "metrics.jsonl", numbers)
        for entry in skipped:  # every rank holds other samples
            entry = {"rank": self.accelerator.process_index, **entry}
            append_line(self.out / "skipped_steps.jsonl", entry)
        if self.recipe.run.tracker != "none":
            step = int(numbers["step"])
            scalars = {k: v for k, v in numbers.items() if not isinstance(v, list) and k != "step"}
            self.accelerator.log(scalars, step=step)
        for name in numbers["collapsed"]:
            if name not in self.collapsed:
                self.progress.note(
                    f"step {numbers['step']}: the features of {name} have collapsed: variance "
                    f"{numbers[f'variance/{name}']:.1e}, effective rank "
                    f"{numbers[f'rank/{name}']:.1f}, share that depends on content "
                    f"{numbers[f'content/{name}']:.1e}; docs/methods.md says what to try"
                )
        self.collapsed = set(numbers["collapsed"])
        self.progress.update(numbers)


def _start_tracker(accelerator: Accelerator, recipe: RunRecipe, out: Path) -> None:
    if not accelerator.is_main_process:
        accelerator.init_trackers("")  # which says nothing to anybody
        return
    start = tracker_start(recipe, out)
    accelerator.init_trackers(start.project, start.config, start.options)
