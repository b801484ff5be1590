import torch
from torch import nn

from omnimask.training.ema import update_ema


class Pair(nn.Module):
    def __init__(self, weight: float, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), weight))
        self.register_buffer("mean", torch.full((3,), weight, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(count))


def test_weights_and_floating_buffers_are_averaged_and_integers_copied():
    average, network = Pair(1.0, 1), Pair(2.0, 7)
    average.requires_grad_(False)
    update_ema(average, network, 0.75)
    assert average.weight.tolist() == [1.25, 1.25]
    assert average.get_buffer("mean").tolist() == [1.25] * 3
    assert average.get_buffer("count") == 7
    assert network.weight.tolist() == [2.0, 2.0]


def test_a_decay_of_zero_copies_and_of_one_keeps():
    average = Pair(1.0, 1)
    update_ema(average, Pair(2.0, 7), 1.0)
    assert average.weight.tolist() == [1.0, 1.0]
    update_ema(average, Pair(3.0, 7), 0.0)
    assert average.weight.tolist() == [3.0, 3.0]
