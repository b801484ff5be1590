import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.masking import (
    GuidedMask,
    PerModality,
)
from tests.unit.masking_cases import keys, layout, part, shown


def hidden(masker: GuidedMask, hint: torch.Tensor, *, progress: float) -> torch.Tensor:
    rows, num_tokens = hint.shape
    whole = layout(toy=part(num_tokens, [num_tokens] * rows))
    (plan,) = masker(whole, keys(rows), {"hard": hint}, progress)
    return ~shown(plan, num_tokens)


def test_six_tokens_by_hand():
    hint = torch.tensor([[0.1, 0.9, -3.0, 0.2, 0.5, 0.4]]).repeat(40, 1)
    flags = hidden(GuidedMask(ratio=0.5, hint="hard", start=0.7, stop=0.7), hint, progress=0.0)
    assert flags.sum(dim=1).tolist() == [3] * 40
    assert flags[:, [1, 4]].all()  # 0.7 of three hidden tokens, rounded down
    assert set(flags.nonzero()[:, 1].tolist()) == set(range(6))


def hpm(random: np.random.Generator, hint: np.ndarray, progress: float) -> np.ndarray:
    """HPM's published code: hardest tokens behind, the others shuffled, the first quarter shown."""
    num_shown = int(len(hint) * 0.25)
    num_hard = int((len(hint) - num_shown) * progress * 0.5)
    order = hint.argsort()
    easy = random.permutation(order[: len(hint) - num_hard])
    mask = np.ones(len(hint), bool)
    mask[easy[:num_shown]] = False
    return mask


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_hides_every_rank_as_often_as_hpm_does(progress: float):
    rows, num_tokens = 2000, 32
    hint = keys(rows, "hint").uniform(num_tokens)
    random = np.random.default_rng(0)
    expected = torch.from_numpy(np.stack([hpm(random, row, progress) for row in hint.numpy()]))
    flags = hidden(GuidedMask(hint="hard"), hint, progress=progress)
    order = hint.argsort(dim=1)
    difference = flags.gather(1, order).float().mean(0) - expected.gather(1, order).float().mean(0)
    # Five standard deviations of the difference of two shares of 0.75 among 2000.
    assert difference.abs().max() < 5 * (2 * 0.75 * 0.25 / rows) ** 0.5
    assert flags.sum(dim=1).tolist() == expected.sum(dim=1).tolist()
    always = flags.gather(1, order).all(dim=0)
    assert always.tolist() == [False] * (32 - int(12 * progress)) + [True] * int(12 * progress)


def test_invalid_tokens_are_never_the_hard_ones():
    hint = torch.arange(12.0)[None].repeat(2, 1)
    whole = layout(toy=part(12, [12, 4]))
    masker = GuidedMask(ratio=0.5, hint="hard", start=1.0, stop=1.0)
    (plan,) = masker(whole, keys(2), {"hard": hint}, 0.0)
    assert shown(plan, 12)[0].tolist() == [True] * 6 + [False] * 6
    assert shown(plan, 12)[1].tolist() == [True] * 2 + [False] * 10


def test_every_span_reads_its_own_part_of_the_hint():
    whole = layout(a=part(4, [4]), b=part(6, [6]))
    masker = GuidedMask(ratio=0.5, hint="hard", start=1.0, stop=1.0)
    hint = torch.tensor([[1.0, 2.0, 3.0, 4.0, 90.0, 80.0, 70.0, 60.0, 50.0, 40.0]])
    for guided in (masker, PerModality(masks={"a": masker, "b": masker})):
        (plan,) = guided(whole, keys(1), {"hard": hint}, 0.0)
        assert shown(plan, 10).nonzero()[:, 1].tolist() == [0, 1, 7, 8, 9]


def test_says_what_is_missing():
    whole = layout(toy=part(6, [6]))
    with pytest.raises(RecipeError, match=r"GuidedMask.hint asks for 'loss', hints given: none"):
        GuidedMask(hint="loss")(whole, keys(1))
    with pytest.raises(RecipeError, match=r"hints given: 'attention'; .*use RandomMask"):
        GuidedMask(hint="loss")(whole, keys(1), {"attention": torch.zeros(1, 6)})
    with pytest.raises(RecipeError, match=r"stop must be a share .* got 50; write 0.5"):
        GuidedMask(hint="loss", stop=50.0)
