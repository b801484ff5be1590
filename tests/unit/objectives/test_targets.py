from dataclasses import replace

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.objectives.targets import Content, Pooled, Restoring, Target, TeacherFeatures
from omnimask.tokens.tokens import Tokens
from tests.steps import Truth, truth_of
from tests.unit.masking_cases import part
from tests.unit.toy import Toy

GENERATOR = torch.Generator().manual_seed(0)
VALUES = torch.randn(2, 5, 12, generator=GENERATOR) * 3 + 1
TOKENS = replace(part(5, [5, 3]), values=VALUES)
TOY = Toy(num_values=12)


def truth(target: Target, tokens: Tokens = TOKENS, *teacher: torch.Tensor) -> Truth:
    return truth_of(target, TOY, tokens, *teacher)


def test_plain_content_is_the_values():
    found = truth(Content())
    assert torch.equal(found.values, VALUES)
    assert torch.equal(found.known, TOKENS.scorable)


def test_token_norm_is_that_of_mae():
    found = truth(Content(norm="token")).values.numpy()
    for b in range(2):
        for n in range(5):
            patch = VALUES[b, n].numpy().astype(np.float64)
            expected = (patch - patch.mean()) / (patch.var(ddof=1) + 1e-6) ** 0.5
            assert np.allclose(found[b, n], expected, atol=1e-5)


def test_channel_norm_is_that_of_videomae():
    found = truth(Content(norm="channel", num_channels=3)).values.numpy()
    for b in range(2):
        for n in range(5):
            # Pixels of a token in order, their three channels innermost.
            cube = VALUES[b, n].numpy().astype(np.float64).reshape(4, 3)
            expected = (cube - cube.mean(axis=0)) / (cube.std(axis=0, ddof=1) + 1e-6)
            assert np.allclose(found[b, n].reshape(4, 3), expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "token", "channel"])
def test_restore_undoes_the_norm(norm):
    target = Content(norm=norm, num_channels=3)
    restored = target.restore(truth(target).values, TOKENS)
    assert restored is not None
    assert torch.allclose(restored, VALUES, atol=1e-4)
    assert bool(target.restores_with) == (norm != "none")


def test_a_constant_token_stays_finite():
    flat = replace(TOKENS, values=torch.full_like(VALUES, 2.0))
    for target in (Content(norm="token"), Content(norm="channel", num_channels=3)):
        assert (truth(target, flat).values == 0).all()


def test_channels_must_divide_the_values():
    target = Content(norm="channel", num_channels=5)
    with pytest.raises(RecipeError, match="does not divide the 12 values of a toy token"):
        target.num_predicted(TOY, 8)
    assert Content(norm="channel", num_channels=3).num_predicted(TOY, 8) == 12


FEATURES = torch.randn(2, 5, 8, generator=GENERATOR) * 2 + 3


def test_teacher_features_are_known_at_valid_tokens_and_cannot_be_restored():
    target = TeacherFeatures(norm="none")
    found = truth(target, TOKENS, FEATURES)
    assert torch.equal(found.values, FEATURES)
    assert torch.equal(found.known, TOKENS.valid)
    assert not isinstance(target, Restoring)
    assert target.num_predicted(TOY, 8) == 8
    assert target.teacher_layers == (-1,)


def test_layer_norm_is_over_a_tokens_features():
    found = truth(TeacherFeatures(norm="layer"), TOKENS, FEATURES).values
    mean, deviation = FEATURES.mean(dim=-1), FEATURES.var(dim=-1, correction=0)
    expected = (FEATURES - mean[..., None]) / (deviation[..., None] + 1e-5).sqrt()
    assert torch.allclose(found, expected, atol=1e-5)


def test_instance_norm_is_over_a_samples_valid_tokens():
    target = TeacherFeatures(norm="instance")
    found = truth(target, TOKENS, FEATURES).values
    for sample, count in enumerate((5, 3)):
        real = FEATURES[sample, :count]
        expected = torch.nn.functional.instance_norm(real.T[None])[0].T
        assert torch.allclose(found[sample, :count], expected, atol=1e-5)
    padded = FEATURES.clone()
    padded[1, 3:] = 1000.0
    again = truth(target, TOKENS, padded).values
    assert torch.equal(again[1, :3], found[1, :3])


def test_layers_are_normalised_and_then_averaged():
    other = FEATURES.flip(0) * 10
    target = TeacherFeatures(layers=(-1, -3), norm="instance")
    parts = [truth(TeacherFeatures(norm="instance"), TOKENS, x).values for x in (FEATURES, other)]
    both = truth(target, TOKENS, FEATURES, other).values
    assert torch.allclose(both, (parts[0] + parts[1]) / 2, atol=1e-6)
    assert target.teacher_layers == (-1, -3)


def test_a_pooled_target_is_the_mean_over_a_samples_known_tokens():
    found = truth(Pooled(target=TeacherFeatures(norm="none")), TOKENS, FEATURES)
    for sample, count in enumerate((5, 3)):
        mean = FEATURES[sample, :count].mean(dim=0).expand(5, -1)
        torch.testing.assert_close(found.values[sample], mean)
    assert torch.equal(found.known, TOKENS.valid)


def test_targets_are_targets():
    assert isinstance(Content(), Target)
    assert isinstance(TeacherFeatures(), Target)
