"""The toy recipe with bad files in the shard of chosen processes, for runs of two processes."""

from collections.abc import Mapping
from dataclasses import replace

from omnimask.data.streams import StreamReader
from omnimask.recipe.recipe import Recipe
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import toy_recipe


def with_bad(positions: Mapping[str, tuple[int, ...]], *, budget: int) -> Recipe:
    """By stream, the places in its order whose files cannot be read.

    Of each step's four places the first of two processes takes two, the second the other two.
    """
    recipe = toy_recipe()
    streams = []
    for stream in recipe.data.streams:
        reader = StreamReader(stream, stream.files, recipe)
        bad = tuple(reader.places(position, 1)[0][0] for position in positions.get(stream.name, ()))
        streams.append(replace(stream, files=dict.fromkeys(stream.files, ToyFiles(bad=bad))))
    return replace(
        recipe,
        # Statistics are there already, or measuring them would meet the bad files first.
        modalities=tuple(replace(modality, mean=0.0) for modality in recipe.modalities),
        data=replace(recipe.data, streams=tuple(streams), max_bad_files=budget),
    )


def one_each() -> Recipe:
    """Each process alone stays within the budget."""
    return with_bad({"toy": (1, 3)}, budget=1)


def second_only() -> Recipe:
    """The second process meets a bad file, and the budget has none."""
    return with_bad({"other": (3,)}, budget=0)
