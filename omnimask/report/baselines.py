"""The best constant prediction: what a loss is worth without looking at the input."""

import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.objectives.objective import Loss

_ITERATIONS = 100


def fit_constant(
    loss: Loss, truths: Float[Tensor, "k t"], num_predicted: int
) -> Float[Tensor, " p"]:
    """The one prediction with the smallest mean loss over all `truths`.

    Found by L-BFGS on the loss itself, so that it is right for any loss: for `mse` it is the mean,
    for `bce` and `cross_entropy` the log-odds of the frequencies. A set loss such as Chamfer has
    a saddle where all predicted points coincide, so a second start is random; the better one wins.
    """
    spread = truths.std() if truths.numel() > 1 else truths.new_ones(())
    noise = torch.randn(num_predicted, generator=torch.Generator().manual_seed(0))
    starts = [truths.new_zeros(num_predicted), noise.to(truths) * spread]
    fitted = [_minimise(loss, truths, start) for start in starts]
    return min(fitted, key=lambda constant: mean_loss(loss, constant, truths))


def mean_loss(loss: Loss, constant: Float[Tensor, " p"], truths: Float[Tensor, "k t"]) -> float:
    """The mean loss of predicting `constant` for every truth; infinite where it is not finite."""
    value = _mean_loss(loss, constant, truths).item()
    return value if value == value else float("inf")


def _mean_loss(loss: Loss, constant: Tensor, truths: Tensor) -> Tensor:
    predicted = constant.expand(1, len(truths), -1)
    return loss(predicted, truths[None]).mean()


def _minimise(loss: Loss, truths: Tensor, start: Tensor) -> Tensor:
    """The end of an L-BFGS run, or `start` where the run made it worse."""
    constant = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [constant], max_iter=_ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = _mean_loss(loss, constant, truths)
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    found = constant.detach()
    better = mean_loss(loss, found, truths) <= mean_loss(loss, start, truths)
    return found if better else start
