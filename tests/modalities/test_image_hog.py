"""Histograms of gradients against scikit-image's, and where their cells stand in a token."""

import numpy as np
import pytest
import torch

from modalities.image import Hog, ImagePatches
from modalities.image.hog import cell_histograms, sobel
from omnimask.foundation.errors import RecipeError

IMAGE = ImagePatches(size=(16, 24), patch=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)


def pictures(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(seed))


def histograms(pixels: torch.Tensor, cell: int, bins: int = 9) -> torch.Tensor:
    return cell_histograms(*sobel(pixels), cell=cell, bins=bins)


def test_votes_are_those_of_scikit_image():
    """Whole votes into unsigned bins, mean over the cell, length one. It takes plain differences
    where HOGLayer has Sobel's, so these are given to both."""
    from skimage.feature import hog

    picture = pictures()[0, 0].double()
    first, second = torch.zeros_like(picture), torch.zeros_like(picture)
    first[1:-1] = picture[2:] - picture[:-2]
    second[:, 1:-1] = picture[:, 2:] - picture[:, :-2]
    ours = cell_histograms(first[None, None], second[None, None], cell=8, bins=9)[0, 0]
    theirs = hog(
        picture.numpy(),
        orientations=9,
        pixels_per_cell=(8, 8),
        cells_per_block=(1, 1),
        block_norm="L2",
        feature_vector=False,
    )
    # It adds 1e-5 to the length.
    np.testing.assert_allclose(ours.movedim(0, -1).numpy(), theirs[:, :, 0, 0], atol=1e-4)


def test_sobel_is_that_of_numpy_with_a_reflected_border():
    picture = pictures()[0, 0].numpy().astype(np.float64)
    padded = np.pad(picture, 1, mode="reflect")
    columns = padded[:, :-2] - padded[:, 2:]
    expected = columns[:-2] + 2 * columns[1:-1] + columns[2:]
    first, _ = sobel(torch.from_numpy(picture)[None, None])
    np.testing.assert_allclose(first[0, 0].numpy(), expected, atol=1e-12)


def test_a_quarter_turn_exchanges_bins():
    """Orientations shift by half of all bins, and the cells turn with the picture. Not at its
    border, where a gradient of zero lies between two bins."""
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before, after = (histograms(p, 8, 8) for p in (pixels, pixels.rot90(1, (2, 3))))
    turned = before.rot90(1, (3, 4)).roll(4, dims=2)
    inside = (..., slice(1, 3), slice(1, 3))
    torch.testing.assert_close(after[inside], turned[inside], atol=1e-5, rtol=1e-5)


def test_brightness_and_contrast_of_a_channel_change_nothing():
    changed = pictures() * torch.tensor([0.5, 2.0, 3.0])[:, None, None] + 0.3
    torch.testing.assert_close(histograms(pictures(), 4), histograms(changed, 4))


@pytest.mark.parametrize("cell", [2, 4, 8])
def test_cells_stand_in_their_token_half_by_half(cell: int):
    tokens = IMAGE.split({"pixels": pictures()})
    target = Hog(cell=cell)
    truth = target(IMAGE, tokens)
    assert truth.shape == (2, 6, target.num_predicted(IMAGE, 0))
    whole = histograms(pictures(), cell)
    halvings = (8 // cell).bit_length() - 1
    for number in range(4**halvings):
        row = column = 0
        for level in range(halvings):
            which = number // 4 ** (halvings - 1 - level) % 4
            row, column = 2 * row + which // 2, 2 * column + which % 2
        token = 1 * 3 + 2  # the second row, the third column
        found = truth[:, token].unflatten(1, (-1, 27))[:, number]
        side = 8 // cell
        expected = whole[:, :, :, side + row, 2 * side + column].flatten(1)
        torch.testing.assert_close(found, expected)


def test_a_cell_of_several_tokens_is_that_of_each():
    image = ImagePatches(size=(16, 32), patch=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = torch.rand(1, 3, 16, 32)
    truth = Hog(cell=8)(image, image.split({"pixels": pixels})).unflatten(1, (4, 8))
    whole = histograms(pixels, 8)
    torch.testing.assert_close(truth[0, 2, 5], whole[0, :, :, 1, 2].flatten())
    assert torch.equal(truth[0, 2, 5], truth[0, 3, 4])


def test_a_window_weighs_gradients_and_a_token_is_normalised():
    """As MaskFeat's layer: a Gaussian over every square of the window, before the votes."""
    tokens = IMAGE.split({"pixels": pictures()})
    places = np.exp(-0.5 * ((np.arange(8) - 3.5) / 4) ** 2)
    weights = torch.from_numpy(np.tile(np.outer(places, places), (2, 3))).float()
    first, second = (part * weights for part in sobel(pictures()))
    expected = cell_histograms(first, second, cell=8, bins=9).flatten(1, 2).flatten(2).mT
    weighed = Hog(cell=8, window=8)(IMAGE, tokens)
    torch.testing.assert_close(weighed, expected)
    assert not torch.allclose(weighed, Hog(cell=8)(IMAGE, tokens))
    normalised = Hog(cell=8, window=8, norm="token")(IMAGE, tokens)
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(2, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(-1), torch.ones(2, 6), atol=1e-3, rtol=0)


def test_what_cannot_be_cut_is_refused():
    for cell in (3, 0, 12):
        with pytest.raises(RecipeError, match="halves, quarters"):
            Hog(cell=cell).num_predicted(IMAGE, 0)
