"""What one optimisation step runs through: files, functions, and the names that a reader meets.

    python tools/count_step.py [RECIPE ...] [--data FOLDER] [--list]

One step of a recipe is taken and watched: masks, forward, losses, backward, clipping, optimizer.
Counted are the files of omnimask/ and modalities/ in which code runs; the functions that run; and
the names: records that are made, and classes and functions that one file calls from another. What
only its own file calls is read there. The data are the recipe's own, so that
`omnimask sample-data data/sample` comes first.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROOT = Path(__file__).resolve().parents[1]
WATCHED = ("omnimask", "modalities")


class StepWatch:
    """Notes every call of a function of `WATCHED` while it is entered."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()  # file, qualified name
        self.crossing: set[str] = set()
        self.records: set[str] = set()

    def __enter__(self) -> "StepWatch":
        sys.setprofile(self._look)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, arg: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_name == "__init__" and code.co_filename == "<string>":  # a record's, generated
            kind = type(frame.f_locals.get("self"))
            if kind.__module__.partition(".")[0] in WATCHED:
                self.records.add(kind.__name__)
        # A lambda or a comprehension belongs to the function around it.
        if not _is_watched(code.co_filename) or code.co_name.startswith("<"):
            return
        self.functions.add((code.co_filename, code.co_qualname))
        if _caller(frame) != code.co_filename:
            self.crossing.add(code.co_qualname.partition(".")[0])


def _caller(frame: FrameType) -> str | None:
    """The watched file that the call came from, however many libraries lie between."""
    outer = frame.f_back
    while outer is not None and not _is_watched(outer.f_code.co_filename):
        outer = outer.f_back
    return None if outer is None else outer.f_code.co_filename


def _is_watched(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in WATCHED


def count_step(reference: str, data: str | None = None) -> dict[str, list[str]]:
    """By what is counted, the names, sorted."""
    from accelerate import Accelerator

    from omnimask.data.streams import Shard, Steps, open_streams
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.training.optimisation import Training, step_once
    from omnimask.training.pretraining import Pretraining

    recipe = load_named_recipe(reference)
    if data is not None:
        recipe = replace(recipe, data=replace(recipe.data, root=data))
    job, accelerator = Pretraining(recipe=recipe), Accelerator(cpu=True)
    model = job.prepare(None)
    training = Training(
        job=job,
        accelerator=accelerator,
        model=model,
        wrapped=accelerator.prepare_model(model).train(),
        optimizer=job.optimizer(),
        steps=Steps(job.recipe, open_streams(job.recipe), Shard()),
    )
    batch = training.steps[0]
    with StepWatch() as watch:
        step_once(training, batch)
    files = {Path(file).relative_to(ROOT) for file, _ in watch.functions}
    return {
        "files": sorted(map(str, files)),
        "functions": sorted(
            f"{Path(file).relative_to(ROOT)}:{name}" for file, name in watch.functions
        ),
        "names": sorted(watch.crossing | watch.records),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="files, functions and names of one step")
    parser.add_argument("recipes", nargs="*", default=["recipes.mae:debug"])
    parser.add_argument("--data", default=None, help="folder in place of data.root")
    parser.add_argument("--list", action="store_true", help="print every name")
    arguments = parser.parse_args()
    for reference in arguments.recipes:
        counted = count_step(reference, arguments.data)
        print(f"{reference}: " + ", ".join(f"{len(v)} {k}" for k, v in counted.items()))
        if arguments.list:
            for kind, names in counted.items():
                print(f"  {kind}", *names, sep="\n    ")


if __name__ == "__main__":
    main()
