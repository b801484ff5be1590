import numpy as np
import pytest
import torch

from modalities.series import SeriesPatches
from omnimask.foundation.errors import RecipeError
from omnimask.objectives.change import Change
from omnimask.objectives.targets import Target
from tests.modalities.case_series import recording

SKELETON = SeriesPatches(
    num_steps=24, num_joints=3, num_channels=2, patch=4, mean=(0.0,) * 6, std=(1.0,) * 6
)


def tokens_of(known: torch.Tensor | None = None):
    series = torch.from_numpy(recording(0)[:24]).float()
    known = torch.ones(24, 3, dtype=torch.bool) if known is None else known
    sample = {"series": torch.where(known[..., None], series, 0.0), "known": known}
    return SKELETON.split(SKELETON.collate([sample]))


def mamp(series: np.ndarray) -> np.ndarray:
    """(steps, joints, channels) -> (tokens, values): next minus this, a token normalised."""
    motion = np.zeros_like(series)
    motion[:-1] = series[1:] - series[:-1]
    patches = motion.reshape(6, 4, 3, 2).transpose(0, 2, 1, 3).reshape(18, 8)
    mean, variance = patches.mean(axis=1, keepdims=True), patches.var(axis=1, ddof=1, keepdims=True)
    return (patches - mean) / np.sqrt(variance + 1e-6)


def test_it_is_the_motion_of_mamp():
    target = Change(steps=4)
    assert isinstance(target, Target)
    found = target(SKELETON, tokens_of())[0]
    np.testing.assert_allclose(found.numpy(), mamp(recording(0)[:24]), atol=2e-4)
    assert target.known(tokens_of()).all()


def test_not_normalised_it_is_the_difference_of_steps():
    found = Change(steps=4, norm="none")(SKELETON, tokens_of())[0].unflatten(1, (4, 2))
    series = torch.from_numpy(recording(0)[:24]).float()
    torch.testing.assert_close(found[3 * 2 + 1, 3], series[12, 1] - series[11, 1])  # to the next
    assert (found[15:, 3] == 0).all(), "the end of the axis"


def test_before_a_gap_nothing_is_known():
    known = torch.ones(24, 3, dtype=torch.bool)
    known[13, 1] = False  # the fourth patch of joint 1
    found = Change(steps=4).known(tokens_of(known))[0].unflatten(0, (6, 3))
    assert (~found).nonzero().tolist() == [[2, 1], [3, 1]]


@pytest.mark.parametrize(
    ("target", "message"),
    [(Change(steps=4, axis="h"), "must be an axis"), (Change(steps=3), "must divide the 8 values")],
)
def test_what_does_not_fit_the_modality_is_refused(target: Change, message: str):
    with pytest.raises(RecipeError, match=message):
        target.num_predicted(SKELETON, 0)
