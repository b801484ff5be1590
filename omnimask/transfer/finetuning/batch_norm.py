"""Batch norm without weights, over the samples of all processes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.collective import num_ranks, sum_over_ranks


class BatchNorm(nn.BatchNorm1d):
    """Each channel minus its mean over its deviation in the batch, of all processes in training;
    in evaluation, their moving averages.

    torch's SyncBatchNorm does the same, on GPUs alone.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False, eps=1e-6)

    def forward(self, input: Float[Tensor, "r d"]) -> Float[Tensor, "r d"]:
        if not self.training or num_ranks() == 1:
            return super().forward(input)
        # Every process has as many rows. The sums carry gradients, since a row of one process
        # moves the statistics by which those of the others are normalised.
        count = len(input) * num_ranks()
        x = input.float()
        mean = _Sum.apply(x.sum(dim=0)) / count
        variance = _Sum.apply((x - mean).square().sum(dim=0)) / count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.momentum is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return ((x - mean) / (variance + self.eps).sqrt()).to(input.dtype)


class _Sum(torch.autograd.Function):
    """The sum of every process's vector, whose gradient is the sum of every process's gradient."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return sum_over_ranks(x.clone())

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return sum_over_ranks(gradient.clone())
