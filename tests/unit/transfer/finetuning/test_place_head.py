"""The head that stands at places, by hand and beside other implementations."""

import numpy as np
import torch

from omnimask.tokens.tokens import Tokens
from omnimask.transfer.finetuning.place_head import SegmentationHead
from omnimask.transfer.finetuning.places import FreePlaces, GridPlaces, spread, spread_by_distance


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def grid_tokens(h: int, w: int) -> Tokens:
    return Tokens.dense(torch.zeros(2, h * w, 1), torch.zeros(h * w, 2), grid={"h": h, "w": w})


def test_a_grid_is_spread_from_edge_to_edge():
    features = torch.tensor([0.0, 4.0]).expand(2, 2)[:, :, None]  # a row of two tokens
    found = spread(features, grid_tokens(1, 2), GridPlaces(size=(1, 4)))
    assert found[0, :, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def test_points_take_the_means_of_their_nearest_tokens():
    coords, places, features = random(1, 6, 3), random(1, 9, 3) * 0.5, random(1, 6, 4)
    valid = torch.tensor([[True, True, False, True, True, True]])
    found = spread_by_distance(features, coords, valid, places, num_nearest=3)
    for point, value in zip(places[0], found[0]):
        squared = [
            float((point - c).square().sum()) if ok else 1e9 for c, ok in zip(coords[0], valid[0])
        ]
        near = np.argsort(squared)[:3]
        weights = np.array([1 / (squared[i] + 1e-8) for i in near])
        expected = weights @ features[0, near].numpy() / weights.sum()
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_place_on_a_token_has_its_features_and_few_tokens_are_enough():
    coords, features = random(1, 4, 3), random(1, 4, 2)
    valid = torch.tensor([[True, True, False, False]])
    found = spread_by_distance(features, coords, valid, coords[:, :2], num_nearest=3)
    torch.testing.assert_close(found, features[:, :2], rtol=0, atol=1e-5)


def test_a_linear_head_before_spreading_is_one_after():
    head = SegmentationHead(layers=(-1, -2)).build(5, 3, num_coords=0)
    features = (random(2, 6, 5), random(2, 6, 5) + 1)
    tokens, places = grid_tokens(2, 3), GridPlaces(size=(8, 9))
    logits = head(features, tokens, places)
    assert logits.shape == (2, 72, 3)
    normalised = torch.cat([norm(x) for norm, x in zip(head.norms, features)], dim=2)
    expected = head.on_tokens(spread(normalised, tokens, places))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_head_of_points_sees_the_place_itself():
    head = SegmentationHead(hidden=8).build(5, 3, num_coords=3)
    tokens = Tokens.dense(torch.zeros(1, 1, 1), torch.zeros(1, 1, 3))
    places = FreePlaces(coords=random(1, 7, 3), ok=torch.ones(1, 7, dtype=torch.bool))
    logits = head((random(1, 1, 5),), tokens, places)  # one token: features alike everywhere
    assert logits.shape == (1, 7, 3)
    assert (logits[0, 1:] - logits[0, 0]).abs().max() > 1e-6
