"""Shares of streams are met at every step, alike on all processes, and known from its number."""

from dataclasses import replace

import pytest

from omnimask.data.mixture import compose, realised, shares
from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Mixture, Stream
from tests.unit.toy_recipe import toy_recipe

LENGTHS = {"large": 8000, "small": 1000}


def data_of(mixture: Mixture | None) -> Data:
    streams = tuple(Stream(name=name, files={}, batch_size=8) for name in LENGTHS)
    return Data(root=".", streams=streams, mixture=mixture)


def test_without_a_mixture_every_step_has_the_batch_sizes():
    found = compose(data_of(None), LENGTHS)
    assert [found.sizes(step) for step in (0, 7, 10**9)] == [{"large": 8, "small": 8}] * 3
    assert found.before(10**9) == {"large": 8 * 10**9, "small": 8 * 10**9}


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        (Mixture(), {"large": 8 / 9, "small": 1 / 9}),
        (Mixture(temperature=3.0), {"large": 2 / 3, "small": 1 / 3}),
        (Mixture(weights={"large": 1.0, "small": 3.0}), {"large": 0.25, "small": 0.75}),
    ],
)
def test_shares_follow_weights_and_temperature(mixture: Mixture, expected: dict[str, float]):
    assert shares(mixture, LENGTHS) == pytest.approx(expected)
    found = compose(data_of(mixture), LENGTHS)
    for step in (1, 10, 1000, 10**9):
        for name, taken in found.before(step).items():
            assert abs(taken - 16 * step * expected[name]) <= 1 + 1e-6 * step
    totals = {sum(found.sizes(step).values()) for step in range(200)}
    assert totals <= {15, 16, 17}
    assert all(size >= 1 for step in range(200) for size in found.sizes(step).values())


def test_sizes_can_be_multiples_for_processes_that_share_them():
    found = compose(data_of(Mixture(multiple=4, temperature=3.0)), LENGTHS)
    assert {size % 4 for step in range(50) for size in found.sizes(step).values()} == {0}


def test_a_stream_that_would_be_absent_is_refused():
    with pytest.raises(RecipeError, match=r"stream small would have 0\.02 samples of 16"):
        compose(data_of(Mixture(weights={"large": 999.0, "small": 1.0})), LENGTHS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"multiple": 0}, "multiple >= 1"),
        ({"weights": {"large": -1.0, "small": 1.0}}, "that of large must be positive"),
    ],
)
def test_mixtures_that_cannot_be_are_refused(fields, message: str):
    with pytest.raises(RecipeError, match=message):
        Mixture(**fields)


def test_weights_name_every_stream():
    with pytest.raises(RecipeError, match=r"must name every stream, \['large', 'small'\]"):
        data_of(Mixture(weights={"large": 1.0}))


def mixed() -> Recipe:
    recipe = toy_recipe()
    mixture = Mixture(weights={"toy": 5.0, "other": 4.0, "both": 2.5})
    return replace(recipe, data=replace(recipe.data, mixture=mixture))


def names_of(steps: Steps, step: int) -> dict[str, tuple[str, ...]]:
    return {group.stream: group.names for groups in steps[step].micro for group in groups}


def test_steps_go_on_where_the_last_one_stopped():
    """Also after a restart, and each sample once an epoch."""
    recipe = mixed()
    steps = Steps(recipe, open_streams(recipe), Shard())
    taken: dict[str, list[str]] = {}
    for step in range(8):
        for stream, names in names_of(steps, step).items():
            taken.setdefault(stream, []).extend(names)
        assert {s: len(n) for s, n in taken.items()} == steps.samples_seen(step + 1)
    assert len(set(taken["toy"][:24])) == 24
    resumed = Steps(
        recipe, open_streams(recipe), Shard(start_step=3, samples_seen=steps.samples_seen(3))
    )
    assert [names_of(resumed, step) for step in (3, 6)] == [names_of(steps, s) for s in (3, 6)]


def test_what_was_realised_is_said_in_shares():
    taken = [{"a": ("x",) * 3, "b": ("y",)}, {"a": ("x",) * 3, "b": ("y",)}]
    assert realised(taken) == {"mixture/a": 0.75, "mixture/b": 0.25}
