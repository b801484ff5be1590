import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import RandomMask
from tests.sync_watch import SyncWatch
from tests.unit.masking_cases import keys, layout, part, shown, visible


def test_six_tokens_by_hand():
    rng = keys(3)
    (plan,) = RandomMask(ratio=0.5)(layout(toy=part(6, [6, 6, 4])), rng)
    for row, draws in enumerate(rng.child("toy").uniform(6).tolist()):
        num_valid = (6, 6, 4)[row]
        order = sorted(range(num_valid), key=lambda i, draws=draws: draws[i])
        assert visible(plan)[row] == sorted(order[: num_valid // 2])


def test_every_token_is_shown_equally_often():
    rows = 4000
    (plan,) = RandomMask(ratio=0.75)(layout(toy=part(16, [16] * rows)), keys(rows))
    frequency = shown(plan, 16).float().mean(dim=0)
    # Five standard deviations of a share of 0.25 among 4000.
    assert (frequency - 0.25).abs().max() < 5 * (0.25 * 0.75 / rows) ** 0.5
    both = (shown(plan, 16)[:, 0] & shown(plan, 16)[:, 1]).float().mean()
    assert abs(both - 0.25 * 3 / 15) < 5 * (0.05 * 0.95 / rows) ** 0.5


def test_a_modality_is_masked_alike_alone_and_beside_another():
    sound, image = part(10, [10, 6]), part(8, [8, 8])
    (alone,) = RandomMask()(layout(sound=sound), keys(2))
    (beside,) = RandomMask()(layout(image=image, sound=sound), keys(2))
    inside = [[i - 8 for i in row if i >= 8] for row in visible(beside)]
    assert inside == visible(alone)
    assert beside.num_visible == (2 + 2, 2 + 1)  # 2.5 of 10 is rounded down, 1.5 of 6 as well


def test_no_host_copy_where_all_rows_are_alike():
    whole, rng = layout(toy=part(16, [16] * 4)), keys(4)
    with SyncWatch() as watch:
        RandomMask()(whole, rng)
    assert not watch.waits + watch.host_copies, watch.report()


def test_refuses_a_percentage():
    with pytest.raises(RecipeError, match=r"write 0\.75"):
        RandomMask(ratio=75.0)


def test_modalities_of_one_length_have_masks_of_their_own():
    (plan,) = RandomMask(ratio=0.5)(layout(left=part(8, [8] * 5), right=part(8, [8] * 5)), keys(5))
    flags = shown(plan, 16)
    assert not torch.equal(flags[:, :8], flags[:, 8:])
