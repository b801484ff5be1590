"""Linear probing, then fine-tuning: the head begins as a linear probe of the encoder as it is.

https://arxiv.org/abs/2202.10054, section 3.3: a head that begins at random sends its first, wrong
gradients into the features that it could have used.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omnimask.data.samples import Unreadable, read_batches, spread
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError
from omnimask.foundation.rng import permutation
from omnimask.transfer.finetuning.heads import Head, Whitening
from omnimask.transfer.finetuning.model import FinetunedModel
from omnimask.transfer.finetuning.tasks import Task
from omnimask.transfer.probing.linear import FOLDS, STRENGTHS

_MOST = 10_000  # samples that a probe is fitted to
# Of the largest direction's variance. Much smaller ones survive neither the encoder's first steps
# nor the rounding of bf16.
_FLOOR = 1e-3
_ITERATIONS = 200


def start_head(model: FinetunedModel, readers: Sequence[StreamReader]) -> str:
    """Fits the head's whitening and linear layer to training samples at their centre view, by the
    task's own loss; returns a line that says so.

    The penalty on the weights is chosen by three-fold cross-validation on these samples alone.
    Every process computes the same. DataError where no sample can be read.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    unreadable = Unreadable()
    features, truth = _encode(model.to(device), readers, unreadable)
    head = model.head
    assert isinstance(head, Head), "checked by FinetuneRecipe"
    assert isinstance(head.norm, Whitening), "checked by FinetuneRecipe"
    head.norm.fit(features, floor=_FLOOR)
    white = head.norm(features).double()
    strength = _choose(white, truth, model.recipe.task, seed=model.recipe.seed)
    weight, bias = _fit(white, truth, model.recipe.task, strength)
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
    if model.average is not None:
        model.average["head"].load_state_dict(head.state_dict())
    line = f"head: begins as a linear probe of {len(features)} training samples, C={strength:g}"
    if unreadable.errors:
        line += f"; {len(unreadable.errors)} could not be read: {dict(unreadable.errors)}"
    return line


@torch.no_grad()
def _encode(
    model: FinetunedModel, readers: Sequence[StreamReader], unreadable: Unreadable
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    parts = []
    for reader in readers:
        indices = spread(len(reader), _MOST // len(readers))
        for batch in read_batches(reader, indices, unreadable, device=device):
            group = batch.group.to(device)
            parts.append((model.features(group), model.truth(group)))
    model.train(was_training)
    if not parts:
        raise DataError(
            "the head cannot start from a probe, not one training sample could be read: "
            f"{dict(list(unreadable.errors.items())[:3])}"
        )
    features, truth = (torch.cat(part) for part in zip(*parts, strict=True))
    return features, truth


def _choose(
    white: Float[Tensor, "n d"], truth: Float[Tensor, "n k"], task: Task, *, seed: int
) -> float:
    """The strength with the smallest loss on samples left out; of equal ones the weakest."""
    if len(white) < FOLDS:
        return STRENGTHS[0]
    order = torch.tensor(permutation(len(white), seed, "head", "folds"), device=white.device)
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for fold in range(FOLDS):
            out = order % FOLDS == fold
            weight, bias = _fit(white[~out], truth[~out], task, strength)
            targets = task.targets(truth[out], None)
            loss += float(task.loss(white[out] @ weight.T + bias, targets))
        losses.append(loss)
    return STRENGTHS[int(np.argmin(losses))]


def _fit(
    white: Float[Tensor, "n d"], truth: Float[Tensor, "n k"], task: Task, strength: float
) -> tuple[Float[Tensor, "p d"], Float[Tensor, " p"]]:
    """Minimises strength * (sum of losses) + |weight|² / 2, the objective of scikit-learn's
    logistic regression, by L-BFGS from zero."""
    targets = task.targets(truth, None)
    weight = white.new_zeros(len(task.outputs), white.shape[1], requires_grad=True)
    bias = white.new_zeros(len(task.outputs), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = task.loss(white @ weight.T + bias, targets)
        penalty = weight.square().sum() / (2 * strength)
        mean = (total + penalty) / task.count(targets).clamp_min(1.0)
        mean.backward()
        return mean

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()
