import pytest
import torch
import torch.nn.functional as F
from torch import nn

from omnimask.foundation.errors import RecipeError
from omnimask.objectives.heads import CosineHead, LinearHead, SubCells, TanhHead


def test_cosines_times_learned_lengths():
    head = CosineHead().build(5, 3)
    (directions, lengths) = head.parameters()
    assert lengths.tolist() == [1.0] * 3
    x = torch.randn(2, 4, 5)
    expected = F.cosine_similarity(x[:, :, None], directions, dim=-1)
    torch.testing.assert_close(head(x), expected)
    torch.testing.assert_close(head(7 * x), head(x))
    lengths.data[1] = 2.0
    torch.testing.assert_close(head(x)[..., 1], 2 * expected[..., 1])


@pytest.mark.parametrize("halvings", [1, 2])
def test_sub_cells_are_transposed_convolutions(halvings: int):
    """Of stride 2 and kernel 2 over the picture of tokens, as LocalMIM has them."""
    torch.manual_seed(0)
    head = SubCells(halvings=halvings).build(8, 3 * 4**halvings)
    image = torch.randn(1, 8, 2, 3)
    x = image
    for number, split in enumerate(head.splits):
        if number:
            x = F.gelu(head.norms[number - 1](x.movedim(1, -1)).movedim(-1, 1))
        width = split.out_features // 4
        kernel = split.weight.reshape(2, 2, width, -1).permute(3, 2, 0, 1)
        bias = split.bias.reshape(2, 2, width)
        x = F.conv_transpose2d(x, kernel, stride=2)
        x = x + bias.permute(2, 0, 1).repeat(1, x.shape[2] // 2, x.shape[3] // 2)
    x = F.conv2d(x, head.last.weight[:, :, None, None], head.last.bias)
    tokens = head(image.flatten(2).transpose(1, 2))
    sizes = (2,) * (2 * halvings)
    cells = tokens.reshape(2, 3, *sizes, 3)  # rows, columns, then (row, column) of each halving
    order = [0, *range(2, 2 + 2 * halvings, 2), 1, *range(3, 3 + 2 * halvings, 2)]
    picture = cells.permute(*order, len(order)).reshape(x.shape[2], x.shape[3], 3)
    torch.testing.assert_close(picture.movedim(-1, 0), x[0])


def test_heads_refuse_what_they_cannot_cut():
    with pytest.raises(RecipeError, match="4 cells must divide the 6 numbers"):
        SubCells().build(8, 6)
    with pytest.raises(RecipeError, match="halvings and axes"):
        SubCells(halvings=0)


def test_the_first_weights_of_a_head():
    torch.manual_seed(0)
    assert LinearHead(std=0.02).build(256, 64).weight.std().item() == pytest.approx(0.0176, rel=0.1)
    tanh = TanhHead().build(4, 3)
    assert isinstance(tanh, nn.Module)
    assert tanh(100 * torch.randn(9, 4)).abs().max() <= 1.0
