"""The processes share the recipe's batch, however many they are."""

from dataclasses import replace

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.batch_share import BatchShare, check_share, samples_per_step
from omnimask.recipe.recipe import Recipe
from tests.unit.toy_recipe import streams, toy_recipe


def of_batch(batch_size: int, accumulate: int) -> Recipe:
    recipe = toy_recipe()
    return replace(
        recipe,
        data=replace(recipe.data, streams=streams(batch_size)),
        optim=replace(recipe.optim, accumulate=accumulate),
    )


@pytest.mark.parametrize(("batch_size", "accumulate"), [(8, 1), (4, 2), (2, 4), (4, 6), (12, 3)])
@pytest.mark.parametrize("world", [1, 2, 3, 4, 6, 8])
def test_every_sample_of_a_step_is_taken_once(batch_size: int, accumulate: int, world: int):
    shares = [BatchShare(accumulate=accumulate, rank=r, world=world) for r in range(world)]
    if batch_size % shares[0].per_micro:
        with pytest.raises(RecipeError, match="cannot share"):
            check_share(of_batch(batch_size, accumulate), world)
        return
    check_share(of_batch(batch_size, accumulate), world)
    taken = [
        position
        for share in shares
        for number in range(share.num_micro)
        for position in share.positions(batch_size, number)
    ]
    assert sorted(taken) == list(range(batch_size * accumulate))


def test_micro_batches_are_shared_before_their_samples():
    """So that a micro-batch is as large as the recipe says, which is what fits a device."""
    share = BatchShare(accumulate=8, rank=3, world=4)
    assert (share.num_micro, list(share.positions(2, 1))) == (2, [14, 15])


def test_the_error_names_the_numbers_that_can():
    with pytest.raises(RecipeError, match=r"^5 processes .* evenly; 1, 2, 3, 4, 6, 12 processes"):
        check_share(of_batch(4, 3), 5)


def test_the_batch_is_that_of_all_processes():
    assert samples_per_step(of_batch(4, 3)) == {"toy": 12, "other": 12, "both": 12}
