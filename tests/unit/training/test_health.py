"""What is watched of the features while training."""

import numpy as np
import pytest
import torch

from omnimask.foundation.rng import Rng
from omnimask.masking import RandomMask
from omnimask.tokens.tokens import Layout
from omnimask.training.health import collapsed, measure_health
from tests.unit.masking_cases import part

GENERATOR = torch.Generator().manual_seed(0)
LAYOUT = Layout.of({"a": part(8, [8, 6, 8]), "b": part(5, [5, 5, 3])})
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
    tokens = np.stack([f for _, f in rows_of(layout, plan, features, name)]).astype(np.float64)
    assert health[f"variance/{name}"].item() == pytest.approx(tokens.var(axis=0).mean(), rel=1e-4)
    singular = np.linalg.svd(tokens - tokens.mean(axis=0), compute_uv=False)
    share = singular / singular.sum()
    share = share[share > 1e-9]
    expected = np.exp(-(share * np.log(share)).sum())
    assert health[f"rank/{name}"].item() == pytest.approx(expected, rel=1e-2)


def by_place(weight: float):
    """Features that are a vector per place plus noise of the given weight."""
    layout, plan, features = item(RandomMask(ratio=0.2))
    table = torch.randn(layout.valid.shape[1], 7, generator=GENERATOR)
    ids = torch.cat([row[:n] for row, n in zip(plan.visible_ids, plan.num_visible)])
    return layout, plan, table[ids] + weight * features


def test_content_is_what_places_do_not_explain():
    assert measure_health([by_place(0.0)])["content/a"] < 1e-6
    assert 0.2 < measure_health([by_place(1.0)])["content/a"] < 0.9
    assert measure_health([by_place(30.0)])["content/a"] > 0.7


def test_features_that_only_say_where_they_stand_have_collapsed():
    health = {k: v.item() for k, v in measure_health([by_place(0.001)]).items()}
    assert collapsed(health) == ["a", "b"]
    assert health["variance/a"] > 0.1


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
