"""Mixup and cutmix: the label follows what is left of the sample."""

import torch

from omnimask.foundation.rng import Rng
from omnimask.tokens.tokens import Tokens
from omnimask.transfer.finetuning.mixing import mix_tokens
from omnimask.transfer.finetuning.recipe import Mix

GRID = {"t": 2, "h": 4, "w": 5}


def tokens(num_samples: int = 6):
    """Every token of sample i holds the number i."""
    values = torch.arange(num_samples).float()[:, None, None].expand(-1, 40, 3)
    return {"x": Tokens.dense(values, torch.zeros(40, 3), grid=GRID)}


def rng(num_samples: int = 6) -> Rng:
    return Rng(keys=torch.arange(num_samples) + 100)


def test_mixup_is_a_weighted_sum():
    mixed, lam = mix_tokens(tokens(), Mix(mixup=1.0), rng())
    own, other = torch.arange(6).float()[:, None], torch.arange(6).flip(0).float()[:, None]
    expected = lam * own + (1 - lam) * other
    torch.testing.assert_close(mixed["x"].values, expected[:, :, None].expand(-1, 40, 3))
    assert len(lam.unique()) == 6


def test_cutmix_replaces_a_box_through_all_times_and_counts_it():
    mixed, lam = mix_tokens(tokens(), Mix(cutmix=1.0), rng())
    values = mixed["x"].values[:, :, 0]
    own = torch.arange(6).float()[:, None]
    torch.testing.assert_close((values == own).float().mean(dim=1, keepdim=True), lam)
    assert ((values == own) | (values == own.flip(0))).all()
    by_time = values.unflatten(1, (2, 20))
    assert torch.equal(by_time[:, 0], by_time[:, 1])
    assert 0 < lam.min() < 1


def test_only_a_share_is_mixed():
    mixed, lam = mix_tokens(tokens(200), Mix(mixup=1.0, share=0.3), rng(200))
    assert 0.2 < (lam < 1).float().mean() < 0.4
    assert torch.equal(mixed["x"].values[lam[:, 0] == 1], tokens(200)["x"].values[lam[:, 0] == 1])


def test_both_are_drawn_alike_often():
    mixed, lam = mix_tokens(tokens(400), Mix(mixup=1.0, cutmix=1.0), rng(400))
    whole = mixed["x"].values[:, :, 0] % 1 == 0
    assert 0.4 < whole.all(dim=1).float().mean() < 0.6
    assert ((lam >= 0) & (lam <= 1)).all()


def test_a_draw_is_a_function_of_the_keys():
    first, second = (mix_tokens(tokens(), Mix(mixup=0.8, cutmix=1.0), rng()) for _ in range(2))
    assert torch.equal(first[0]["x"].values, second[0]["x"].values)
    assert torch.equal(first[1], second[1])
