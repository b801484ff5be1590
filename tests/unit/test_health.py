"""What is watched of the features while training."""

import numpy as np
import pytest
import torch

from omnimask.health import collapsed, measure_health
from omnimask.masking import RandomMask
from omnimask.rng import Rng
from omnimask.tokens import layout_of
from tests.unit.masking_cases import part

GENERATOR = torch.Generator().manual_seed(0)
LAYOUT = layout_of({"a": part(8, [8, 6, 8]), "b": part(5, [5, 5, 3])})
RNG = Rng(keys=torch.tensor([11, 12, 13]))


HALF = RandomMask(ratio=0.5)


def item(masker: RandomMask = HALF):
    (plan,) = masker(LAYOUT, RNG)
    features = torch.randn(sum(plan.num_visible), 7, generator=GENERATOR)
    return LAYOUT, plan, features


def rows_of(layout, plan, features, name):
    """Row and feature of every visible token of one modality, one by one."""
    span = next(s for s in layout.spans if s.modality == name)
    found, place = [], 0
    for row, count in enumerate(plan.num_visible):
        for column in range(count):
            if span.start <= plan.visible_ids[row, column] < span.stop:
                found.append((row, features[place].numpy()))
            place += 1
    return found


@pytest.mark.parametrize("name", ["a", "b"])
def test_variance_and_rank_are_those_of_numpy(name):
    layout, plan, features = item()
    health = measure_health([(layout, plan, features)])
    found = rows_of(layout, plan, features, name)
    means = [np.mean([f for r, f in found if r == row], axis=0) for row in range(3)]
    assert health[f"variance/{name}"].item() == pytest.approx(
        np.var(means, axis=0).mean(), rel=1e-4
    )
    tokens = np.stack([f for _, f in found]).astype(np.float64)
    singular = np.linalg.svd(tokens - tokens.mean(axis=0), compute_uv=False)
    share = singular / singular.sum()
    share = share[share > 1e-9]
    assert health[f"rank/{name}"].item() == pytest.approx(
        np.exp(-(share * np.log(share)).sum()), rel=1e-2
    )


def test_the_hidden_share_is_counted():
    health = measure_health([item()])
    assert health["hidden/a"].item() == pytest.approx(0.5)
    shown = sum(-(-n // 2) if n != 5 else 2 for n in (5, 5)) + 1
    assert health["hidden/b"].item() == pytest.approx(1 - shown / 13, abs=0.09)


def test_only_the_modality_that_collapsed_is_named():
    layout, plan, features = item()
    found = rows_of(layout, plan, features, "b")
    flat = features.clone()
    for number in range(len(features)):
        if any(np.array_equal(features[number].numpy(), f) for _, f in found):
            flat[number] = 1.0
    health = {k: v.item() for k, v in measure_health([(layout, plan, flat)]).items()}
    assert collapsed(health) == ["b"]
    assert collapsed({k: v.item() for k, v in measure_health([item()]).items()}) == []


def test_several_groups_and_plans_count_together():
    one = measure_health([item(), item(RandomMask(ratio=0.75))])
    assert 0.5 < one["hidden/a"].item() < 0.75
