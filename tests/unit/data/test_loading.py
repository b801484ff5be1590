"""Workers read parts of groups ahead of time; what a batch holds does not depend on them."""

from dataclasses import replace

import pytest
import torch

from omnimask.data import loading
from omnimask.data.loading import load_steps, plan_ahead
from omnimask.data.streams import Shard, StepBatch, Steps, open_streams
from omnimask.foundation.errors import DataError
from omnimask.recipe.recipe import Recipe
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import streams, toy_recipe

_TOY_BYTES = 1024 + 128  # of a sample of 32 numbers


def recipe_of(*, batch_size: int = 5, bad: tuple[int, ...] = (), max_bad_files: int = 0) -> Recipe:
    recipe = toy_recipe()
    first, *others = streams(batch_size)
    first = replace(first, files={"toy": ToyFiles(bad=bad)})
    data = replace(recipe.data, streams=(first, *others), max_bad_files=max_bad_files)
    return replace(recipe, data=data, optim=replace(recipe.optim, accumulate=2))


def steps_of(recipe: Recipe, shard: Shard | None = None) -> Steps:
    return Steps(recipe, open_streams(recipe), shard or Shard())


def assert_alike(found: object, expected: StepBatch) -> None:
    assert isinstance(found, StepBatch)
    assert (found.step, found.bad) == (expected.step, expected.bad)
    for groups, others in zip(found.micro, expected.micro, strict=True):
        for group, other in zip(groups, others, strict=True):
            assert (group.stream, group.names) == (other.stream, other.names)
            assert torch.equal(group.keys, other.keys)
            for modality, raw in other.raw.items():
                assert torch.equal(group.raw[modality]["wave"], raw["wave"])
                assert group.raw[modality]["num_tokens"] == raw["num_tokens"]


@pytest.mark.parametrize(
    ("num_workers", "smallest_part"), [(0, 1), (1, 1), (2, 2 * _TOY_BYTES), (2, 1)]
)
def test_any_number_of_workers_gives_the_same_batches(
    num_workers: int, smallest_part: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loading, "_SMALLEST_PART", smallest_part)
    steps = steps_of(recipe_of(bad=(1, 5, 9), max_bad_files=9), Shard(start_step=3))
    loaded = list(load_steps(steps, num_workers=num_workers, pin_memory=False))
    assert len(loaded) == 5
    assert any(steps[step].bad for step in range(3, 8))
    for step, batch in zip(range(3, 8), loaded, strict=True):
        assert_alike(batch, steps[step])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_comes_in_place_of_its_step(num_workers: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "_SMALLEST_PART", 1)
    steps = steps_of(recipe_of(bad=(3,)))
    loaded = list(load_steps(steps, num_workers=num_workers, pin_memory=False))
    failed = [step for step, batch in enumerate(loaded) if isinstance(batch, DataError)]
    assert failed
    assert all("train-003" in str(loaded[step]) for step in failed)
    assert all(isinstance(loaded[step], StepBatch) for step in set(range(8)) - set(failed))


def test_workers_share_a_group_and_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "_SMALLEST_PART", 1)
    steps = steps_of(recipe_of(batch_size=12))
    plan = plan_ahead(steps, num_workers=4, budget=1 << 30)
    assert plan.most["toy"] == 3
    # Three streams of 4 parts in 2 micro-batches, two steps, over 4 workers.
    assert plan.parts_per_worker == 2 * 2 * 3
    for samples in (1, 2, 7, 40):
        budget = 4 * samples * _TOY_BYTES * 2  # a pair of toys takes at most twice as much
        plan = plan_ahead(steps, num_workers=4, budget=budget)
        held = 4 * plan.parts_per_worker * max(plan.most.values()) * _TOY_BYTES
        assert held <= budget
    assert plan_ahead(steps, num_workers=4, budget=1) == loading.Ahead(
        most={"toy": 1, "other": 1, "both": 1}, parts_per_worker=1
    )


def test_small_samples_stay_together():
    """So that a group of rows is put together by one worker and not by the trainer."""
    steps = steps_of(recipe_of())
    plan = plan_ahead(steps, num_workers=2, budget=1 << 30)
    assert all(part.is_whole for part in steps.parts(0, plan.most))


def test_a_loader_that_is_closed_early_ends_its_workers():
    batches = load_steps(steps_of(recipe_of()), num_workers=2, pin_memory=False)
    next(batches)
    import multiprocessing

    before = set(multiprocessing.active_children())
    assert len(before) >= 2
    batches.close()
    assert not [child for child in before if child.is_alive()]
