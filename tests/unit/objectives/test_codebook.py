import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnimask.foundation.rng import Rng
from omnimask.objectives.codebook import Codebook
from tests.sync_watch import SyncWatch

GENERATOR = torch.Generator().manual_seed(0)
Z = torch.randn(40, 3, generator=GENERATOR) * 2


def codebook(num_codes: int = 6, decay: float = 0.9, usage: float = 1.0) -> Codebook:
    """One in which every code has been used, as a loaded one is."""
    torch.manual_seed(1)
    made = Codebook(num_codes=num_codes, dim=3, decay=decay)
    made.load_state_dict({**made.state_dict(), "usage": torch.full((num_codes,), usage)})
    return made


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_every_vector_gets_its_nearest_code():
    from sklearn.metrics import pairwise_distances_argmin

    book = codebook().eval()
    quantised, ids, commitment = book(Z)
    z, codes = unit(Z.double().numpy()), book.codes.double().numpy()
    expected = pairwise_distances_argmin(z, codes)
    assert (ids.numpy() == expected).all()
    assert len(set(expected)) > 3
    assert np.abs(quantised.numpy() - codes[expected]).max() < 1e-6
    squared = ((z - codes[expected]) ** 2).mean(axis=1).sum()
    assert commitment.item() == pytest.approx(squared, rel=1e-5)


def test_the_gradient_passes_straight_through():
    book = codebook().eval()
    weight = torch.randn(40, 3, generator=GENERATOR)
    z = Z.clone().requires_grad_()
    quantised, ids, commitment = book(z)
    ((quantised * weight).sum() + 0.5 * commitment).backward()
    # The same by hand: the gradient of the output, and of the squared error, reach the unit vector.
    plain = Z.clone().requires_grad_()
    direction = plain / plain.norm(dim=1, keepdim=True)
    by_hand = weight + 0.5 * 2 * (direction.detach() - book.codes[ids]) / 3
    direction.backward(by_hand)
    torch.testing.assert_close(z.grad, plain.grad)


def test_codes_follow_the_mean_of_their_tokens():
    from sklearn.metrics import pairwise_distances_argmin

    book, codes = codebook(), codebook().codes.double().numpy()
    usage = np.ones(6)
    for step in range(5):
        batch = torch.randn(40, 3, generator=torch.Generator().manual_seed(step))
        z = unit(batch.double().numpy())
        ids = pairwise_distances_argmin(z, codes)
        for code in range(6):
            mine = z[ids == code]
            usage[code] = 0.9 * usage[code] + 0.1 * len(mine)
            if len(mine):
                codes[code] = unit(0.9 * codes[code] + 0.1 * unit(mine.mean(axis=0)))
        assert (book(batch)[1].numpy() == ids).all()
    assert (usage > 0.1 * usage.mean()).all(), "no code is dead here"
    assert np.abs(book.codes.numpy() - codes).max() < 1e-5
    assert np.abs(book.usage.numpy() - usage).max() < 1e-4


def test_codes_stay_in_evaluation_and_without_gradients():
    book, before = codebook(), codebook().codes
    with torch.no_grad():
        book(Z)
    book.eval()(Z)
    assert torch.equal(book.codes, before)
    assert (book.usage == 1).all()
    assert book.health() == {}
    book.train()(Z)
    assert not torch.equal(book.codes, before)


def test_a_dead_code_becomes_the_worst_served_token():
    book = codebook(num_codes=4, decay=0.99)
    book.codes.copy_(torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]))
    book.usage.copy_(torch.tensor([5.0, 0.01, 5.0, 0.02]))
    z = torch.tensor([[1.0, 0.1, 0], [0, 0, 5], [0, 2, 0.1], [0.1, -1, 0], [1, 0, 0.1]])
    book(z)
    # (0, 0, 5) and (0, 2, 0.1) are at right angles, or nearly, to all codes.
    expected = F.normalize(z[[1, 2]], dim=-1)
    found = book.codes[[1, 3]]
    torch.testing.assert_close(found[found[:, 2].argsort(descending=True)], expected)
    assert book.usage[1] == book.usage[3] > 2
    assert book.codes[2, 1] < -0.99


def test_the_first_batches_make_the_codebook():
    """Few tokens, then more: in the end every code stands for tokens of four narrow bundles."""
    torch.manual_seed(0)
    book = Codebook(num_codes=16, dim=8, decay=0.9)
    centers = F.normalize(torch.randn(4, 8, generator=GENERATOR), dim=-1)
    for step in range(60):
        noise = torch.randn(3 if step < 5 else 32, 8, generator=GENERATOR) * 0.05
        book(centers[torch.arange(len(noise)) % 4] + noise)
    assert (book.codes @ centers.T).max(dim=1).values.min() > 0.8
    assert book(centers)[2].item() < 0.02
    assert set((book.codes @ centers.T).argmax(dim=1).tolist()) == {0, 1, 2, 3}


def test_a_code_that_never_had_a_token_becomes_the_mean_of_its_first():
    book = codebook(num_codes=41, usage=0.0)  # more than tokens: no k-means
    _, ids, _ = book(Z)
    for code in ids.unique():
        mean = F.normalize(Z[ids == code], dim=-1).mean(dim=0)
        torch.testing.assert_close(book.codes[code], F.normalize(mean, dim=0))


def test_the_first_batch_makes_the_codebook_by_k_means():
    from sklearn.metrics import pairwise_distances_argmin

    torch.manual_seed(0)
    book = Codebook(num_codes=6, dim=3, decay=0.9)
    at_random = book.nearest(F.normalize(Z, dim=-1))[1].mean()
    _, ids, _ = book(Z)
    z = unit(Z.double().numpy())
    # Lloyd's steps from the tokens that the codebook draws by their places.
    rng = Rng(keys=torch.arange(40)).child("codebook")
    drawn = rng.bits(1).squeeze(1).argsort()[:6]
    codes = z[drawn.numpy()]
    for _ in range(10):
        nearest = pairwise_distances_argmin(z, codes)
        codes = np.stack([unit(z[nearest == code].mean(axis=0)) for code in range(6)])
    expected = pairwise_distances_argmin(z, codes)
    assert (ids.numpy() == expected).all()
    assert book.health()["used"] == 1
    # The same step goes on as every other one does.
    means = np.stack([unit(z[expected == code].mean(axis=0)) for code in range(6)])
    assert np.abs(book.codes.numpy() - unit(0.9 * codes + 0.1 * means)).max() < 1e-5
    usage = 0.9 * 0.1 * 40 / 6 + 0.1 * np.bincount(expected, minlength=6)
    assert np.abs(book.usage.numpy() - usage).max() < 1e-4
    assert book.nearest(F.normalize(Z, dim=-1))[1].mean() > at_random + 0.05


def test_k_means_makes_no_second_start_after_loading():
    book = Codebook(num_codes=6, dim=3)
    book(Z)
    loaded = Codebook(num_codes=6, dim=3)
    loaded.load_state_dict(book.state_dict())
    before = loaded.codes.clone()
    shifted = Z + torch.tensor([2.0, 0, 0])
    assert torch.equal(loaded(shifted)[1], book(shifted)[1])
    assert torch.equal(loaded.codes, book.codes)
    assert torch.equal(loaded.usage, book.usage)
    # Few tokens move a code by at most a hundredth; a new start would move all of them far.
    moved = (loaded.codes * before).sum(dim=1)
    assert (moved > 0.99).sum() >= 5
    fresh = Codebook(num_codes=6, dim=3)
    fresh.load_state_dict(Codebook(num_codes=6, dim=3).state_dict())
    _, ids, _ = fresh(Z)
    assert len(set(ids.tolist())) == 6, "one that was never used is started"


def test_a_batch_that_went_wrong_leaves_no_trace():
    broken = torch.cat([Z, torch.full((3, 3), torch.nan)])
    ours, expected = codebook(), codebook()
    ours(broken)
    expected(Z)
    torch.testing.assert_close(ours.codes, expected.codes)
    torch.testing.assert_close(ours.usage, expected.usage)


def test_half_precision_around_it_changes_nothing():
    ours, expected = codebook(), codebook()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantised, ids, _ = ours(Z)
        _, similarity = ours.nearest(F.normalize(Z, dim=-1))
    assert quantised.dtype == torch.float32
    assert torch.equal(ids, expected(Z)[1])
    assert torch.equal(similarity, expected.nearest(F.normalize(Z, dim=-1))[1])
    assert torch.equal(ours.codes, expected.codes)


def test_health_of_the_last_training_step():
    book = codebook(num_codes=8)
    _, ids, _ = book(Z)
    share = np.bincount(ids.numpy(), minlength=8) / 40
    share = share[share > 0]
    health = book.health()
    assert health["used"].item() == pytest.approx(len(share) / 8)
    assert health["perplexity"].item() == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert 1 < health["average_perplexity"].item() <= 8


def test_the_device_is_never_waited_for_and_buffers_are_saved():
    book = Codebook(num_codes=50, dim=3)
    with SyncWatch() as watch:
        z = Z.clone().requires_grad_()
        quantised, _, commitment = book(z)
        (quantised.sum() + commitment).backward()
        book.health()
    assert not watch.waits + watch.host_copies, watch.report()
    assert set(book.state_dict()) == {"codes", "usage"}
    assert not list(book.parameters())
