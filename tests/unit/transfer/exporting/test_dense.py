"""The dense encoder against the packed one, on ragged rows."""

import pytest
import torch

from omnimask import RecipeError
from omnimask.network.encoder import Encoder
from omnimask.transfer.exporting.dense import DenseEncoder
from omnimask.transfer.exporting.features import largest_difference, own_features
from tests.unit.export_cases import ENCODERS, SMALL, scattered, toy_samples
from tests.unit.toy_recipe import TOYS


@torch.no_grad()
def dense_features(dense: DenseEncoder, tokens):
    outputs = dense(tokens.values, tokens.coords, tokens.valid)
    return dict(zip(dense.output_names, outputs, strict=True))


@pytest.mark.parametrize("config", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("modality", ["toy", "other"])
def test_dense_features_are_the_encoders(config: Encoder, modality: str):
    encoder, samples = scattered(TOYS, config), toy_samples(modality)
    assert not samples.tokens.valid.all()
    found = dense_features(DenseEncoder(encoder, modality), samples.tokens)
    expected = own_features(encoder, samples)
    assert found.keys() == expected.keys()
    assert largest_difference(found, expected) < 1e-5


def test_what_stands_at_invalid_tokens_changes_nothing():
    dense, tokens = DenseEncoder(scattered(TOYS, SMALL), "toy"), toy_samples().tokens
    garbage = tokens.values.masked_fill(~tokens.valid[:, :, None], 100.0)
    with torch.no_grad():
        clean = dense(tokens.values, tokens.coords, tokens.valid)
        dirty = dense(garbage, tokens.coords, tokens.valid)
    assert all(torch.equal(a, b) for a, b in zip(clean, dirty, strict=True))


@pytest.mark.parametrize("name", ["plain", "no prefix"])
def test_a_row_without_tokens_has_the_zero_vector(name: str):
    dense, tokens = DenseEncoder(scattered(TOYS, ENCODERS[name]), "toy"), toy_samples().tokens
    with torch.no_grad():
        pooled, features, *_ = dense(tokens.values, tokens.coords, torch.zeros_like(tokens.valid))
    assert torch.equal(pooled, torch.zeros_like(pooled))
    assert torch.equal(features, torch.zeros_like(features))


def test_a_modality_that_was_never_seen_is_named():
    with pytest.raises(RecipeError, match=r"never saw 'tou'.*did you mean toy"):
        DenseEncoder(scattered(TOYS, SMALL), "tou")
