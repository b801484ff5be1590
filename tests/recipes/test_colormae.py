"""The published numbers of ColorMAE, and that its masks are blobs."""

from recipes.colormae import base, base_1600, parts
from tests.recipes.catalogue import shown_of
from tests.unit.masking_cases import keys, layout, part

ROWS = 64


def neighbours_alike(masker) -> float:
    """How often a patch and the one to its right are both shown or both hidden."""
    images = layout(image=part({"h": 14, "w": 14}, (196,) * ROWS))
    (plan,) = masker(images, keys(ROWS))
    assert plan.num_visible == (49,) * ROWS
    shown = shown_of(plan, 196).reshape(ROWS, 14, 14)
    return (shown[:, :, 1:] == shown[:, :, :-1]).float().mean().item()


def test_green_masks_are_coarser_than_random_and_finer_than_red_ones():
    green, red = (
        neighbours_alike(base().masker),
        neighbours_alike(parts("image", color="red").masker),
    )
    random = 0.75**2 + 0.25**2  # of patches drawn one by one
    assert random + 0.03 < green < red - 0.03


def test_the_schedule_is_that_of_mae_over_fewer_epochs():
    assert base().optim.steps == 300 * 312
    assert base_1600().optim.steps == 1600 * 312
    assert base().optim.warmup_steps == 40 * 312
    assert abs(base().optim.lr - 2.4e-3) < 1e-9
