import numpy as np
import pytest
import torch

from modalities.image import BandIndex, ImagePatches
from omnimask.foundation.errors import RecipeError

MEAN, STD = (0.2, 0.5, 0.4, 0.6), (0.1, 0.2, 0.3, 0.15)
IMAGE = ImagePatches(size=(8, 12), patch=(4, 4), num_channels=4, mean=MEAN, std=STD)
PAIRS = ((3, 2), (1, 3))


def truth(pixels: torch.Tensor) -> np.ndarray:
    return BandIndex(pairs=PAIRS)(IMAGE, IMAGE.split({"pixels": pixels})).double().numpy()


def pictures() -> torch.Tensor:
    return 0.1 + torch.rand(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))


def test_indices_are_those_of_numpy():
    pixels = pictures().numpy().astype(np.float64)
    for row, column in ((0, 0), (1, 2)):
        patch = pixels[1, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        indices = [(patch[a] - patch[b]) / (patch[a] + patch[b]) for a, b in PAIRS]
        values = np.stack(indices, axis=-1).reshape(-1)
        expected = (values - values.mean()) / np.sqrt(values.var(ddof=1) + 1e-6)
        np.testing.assert_allclose(truth(pictures())[1, 3 * row + column], expected, atol=1e-4)


def test_a_common_gain_changes_nothing():
    np.testing.assert_allclose(truth(2.5 * pictures()), truth(pictures()), atol=1e-3)


def test_dark_pixels_have_no_index():
    assert np.isfinite(truth(torch.zeros(2, 4, 8, 12))).all()


def test_channels_that_are_not_there_are_refused():
    with pytest.raises(RecipeError, match="0 to 3"):
        BandIndex(pairs=((4, 0),)).num_predicted(IMAGE, 0)
