"""What one training step runs through: files, functions, and the names that a reader meets.

    python tools/count_step.py [RECIPE ...]

Counts, for the forward pass with its losses and the backward pass, the files of omnimask/ and
modalities/ in which code runs, the functions that run, and the names: classes and functions at the
top of a module, without those that begin with an underscore. The data are the samples of the
recipe's own streams, so that `python tools/make_sample_data.py data/sample` comes first.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import omnimask

ROOT = Path(omnimask.__file__).resolve().parents[1]
ROOMS = ("omnimask", "modalities")


def trace_step(reference: str, data: str | None) -> set[CodeType]:
    """The code objects of `ROOMS` that run in one step of the recipe."""
    from omnimask.data.streams import Shard, Steps, open_streams
    from omnimask.objectives.objective import total_loss
    from omnimask.recipe.loading import load_named_recipe
    from omnimask.training.fitting import fit
    from omnimask.training.step import build_model

    recipe = load_named_recipe(reference)
    if data is not None:
        recipe = replace(recipe, data=replace(recipe.data, root=data))
    recipe = fit(recipe)
    groups = Steps(recipe, open_streams(recipe), Shard())[0].micro[0]
    model = build_model(recipe).train()
    weights = {objective.name: objective.weight for objective in recipe.objectives}
    ran: set[CodeType] = set()

    def look(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and _room(frame.f_code.co_filename):
            ran.add(frame.f_code)

    sys.setprofile(look)
    try:
        sums = model(groups).sums
        loss = total_loss(sums, {name: part.count for name, part in sums.items()}, weights)
        loss.backward()
    finally:
        sys.setprofile(None)
    return ran


def _room(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ROOMS


def count(ran: set[CodeType]) -> dict[str, list[str]]:
    """By what is counted, the names, sorted."""
    # A lambda or comprehension belongs to the function around it; a record's __init__ is generated.
    named = {code for code in ran if not code.co_name.startswith("<")}
    places = {(str(Path(c.co_filename).relative_to(ROOT)), c.co_qualname) for c in named}
    tops = {(file, name.partition(".")[0]) for file, name in places}
    return {
        "files": sorted({file for file, _ in places}),
        "functions": sorted(f"{file}:{name}" for file, name in places),
        "names": sorted(f"{file}:{name}" for file, name in tops if not name.startswith("_")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recipes", nargs="*", default=["recipes.mae:debug"])
    parser.add_argument("--data", default=None, help="folder in place of data.root")
    parser.add_argument("--list", action="store_true", help="print every name")
    arguments = parser.parse_args()
    for reference in arguments.recipes:
        counted = count(trace_step(reference, arguments.data))
        print(f"{reference}: " + ", ".join(f"{len(v)} {k}" for k, v in counted.items()))
        if arguments.list:
            for kind, names in counted.items():
                print(f"  {kind}", *names, sep="\n    ")


if __name__ == "__main__":
    main()
