from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnimask.foundation.rng import Rng
from omnimask.objectives.kmeans import draw_starts, spherical_kmeans, token_places
from tests.sync_watch import SyncWatch

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

GENERATOR = torch.Generator().manual_seed(0)
Z = F.normalize(torch.randn(200, 6, generator=GENERATOR), dim=-1)
OK = torch.ones(200, dtype=torch.bool)
TOKENS = Rng(keys=torch.arange(200))


def bundles(count: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of length one around `count` orthogonal directions, and whose they are."""
    of = torch.arange(200) % count
    noise = torch.randn(200, 16, generator=GENERATOR) * spread
    return F.normalize(torch.eye(16)[of] + noise, dim=-1), of


def cosines(z: torch.Tensor, centers: torch.Tensor) -> float:
    return (z @ centers.T).max(dim=1).values.sum().item()


def euclidean(z: torch.Tensor, starts: torch.Tensor) -> KMeans:
    from sklearn.cluster import KMeans

    settings: dict[str, Any] = {"init": starts.numpy(), "n_init": 1}  # its stubs say str
    return KMeans(len(starts), **settings).fit(z.numpy())


@pytest.mark.parametrize("num_steps", [1, 4, 10])
def test_every_step_is_the_plain_one(num_steps: int):
    z, centers = Z.double().numpy(), Z[:9].double().numpy()
    nearest = np.zeros(len(z), dtype=int)
    for _ in range(num_steps):
        nearest = np.argmax(z @ centers.T, axis=1)
        for k in range(9):
            if (nearest == k).any():
                mean = z[nearest == k].mean(axis=0)
                centers[k] = mean / np.linalg.norm(mean)
    found, counts = spherical_kmeans(Z, Z[:9], ok=OK, num_steps=num_steps)
    assert np.abs(found.numpy() - centers).max() < 1e-5
    assert counts.tolist() == np.bincount(nearest, minlength=9).tolist()


def test_tight_bundles_are_found_as_scikit_learn_finds_them():
    z, of = bundles(8, spread=0.1)
    starts = z[:8]  # one of each bundle
    centers, counts = spherical_kmeans(z, starts, ok=OK)
    other = euclidean(z, starts)
    ids = (z @ centers.T).argmax(dim=1)
    assert (ids.numpy() == other.labels_).all()
    assert torch.equal(ids, of)
    assert counts.tolist() == [25] * 8
    directions = F.normalize(torch.from_numpy(other.cluster_centers_), dim=-1)
    torch.testing.assert_close(centers, directions, rtol=0, atol=1e-5)


def test_diffuse_vectors_are_served_as_well_as_by_scikit_learn():
    """Euclidean k-means minimises another sum; ours is the one of cosines."""
    from sklearn.metrics import normalized_mutual_info_score

    starts, _ = draw_starts(Z, TOKENS, ok=OK, num_centers=12)
    ours, _ = spherical_kmeans(Z, starts, ok=OK, num_steps=30)
    other = euclidean(Z, starts)
    directions = F.normalize(torch.from_numpy(other.cluster_centers_), dim=-1)
    assert cosines(Z, ours) >= 0.995 * cosines(Z, directions)
    assert normalized_mutual_info_score((Z @ ours.T).argmax(dim=1), other.labels_) > 0.7


def test_no_step_serves_worse_than_the_one_before():
    starts = Z[:12]
    sums = [
        cosines(Z, spherical_kmeans(Z, starts, ok=OK, num_steps=steps)[0]) for steps in range(8)
    ]
    assert all(after >= before - 1e-4 for before, after in pairwise(sums))
    assert sums[-1] > 1.05 * sums[0]


def test_a_center_without_vectors_stays():
    z = F.normalize(torch.tensor([[1.0, 0.1], [1, -0.1], [1, 0.3]]), dim=-1)
    starts = torch.tensor([[1.0, 0], [-1, 0], [1, 0]])  # the third loses every tie to the first
    centers, counts = spherical_kmeans(z, starts, ok=OK[:3], num_steps=1)
    assert torch.equal(centers[1:], starts[1:])
    assert counts.tolist() == [3, 0, 0]
    torch.testing.assert_close(centers[0], F.normalize(z.mean(dim=0), dim=0))


def test_vectors_that_are_not_ok_count_for_nothing():
    ok = torch.arange(200) % 3 > 0
    broken = torch.where(ok[:, None], Z, torch.nan)
    places = torch.arange(200)[ok]
    starts, enough = draw_starts(broken, TOKENS, ok=ok, num_centers=10)
    expected, _ = draw_starts(Z[ok], Rng(keys=places), ok=OK[: len(places)], num_centers=10)
    assert enough
    assert torch.equal(starts, expected)
    found = spherical_kmeans(broken, starts, ok=ok)
    plain = spherical_kmeans(Z[ok], starts, ok=OK[: len(places)])
    for ours, theirs in zip(found, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_starts_are_different_tokens_and_depend_on_the_streams():
    starts, _ = draw_starts(Z, TOKENS, ok=OK, num_centers=50)
    chosen = (starts @ Z.T).argmax(dim=1)
    assert torch.equal(Z[chosen], starts)
    assert len(set(chosen.tolist())) == 50
    assert 70 < chosen.float().mean() < 130, "from everywhere"
    again, _ = draw_starts(Z, TOKENS, ok=OK, num_centers=50)
    other, _ = draw_starts(Z, TOKENS.child("other"), ok=OK, num_centers=50)
    assert torch.equal(again, starts)
    assert not torch.equal(other, starts)


@pytest.mark.parametrize(("num_centers", "expected"), [(200, True), (201, False), (300, False)])
def test_too_few_tokens_are_told(num_centers: int, expected: bool):
    starts, enough = draw_starts(Z, TOKENS, ok=OK, num_centers=num_centers)
    assert enough.item() is expected
    assert starts.shape == (num_centers, 6)
    assert (starts[200:] == 0).all()


def test_places_of_one_process_count_from_zero():
    assert token_places(4, torch.device("cpu")).tolist() == [0, 1, 2, 3]


def test_the_device_is_never_waited_for():
    with SyncWatch() as watch:
        rng = Rng(keys=token_places(200, Z.device)).child("start")
        starts, _ = draw_starts(Z, rng, ok=OK, num_centers=20)
        spherical_kmeans(Z, starts, ok=OK)
    assert not watch.waits + watch.host_copies, watch.report()
