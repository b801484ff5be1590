from dataclasses import replace

import numpy as np
import pytest
import torch

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.records import from_json, to_json
from omnimask.objectives.clusters import OnlineClusters
from omnimask.objectives.objective import Objective, TemperedCrossEntropy
from omnimask.objectives.targets import TrainedTarget
from tests.sync_watch import SyncWatch
from tests.unit.masking_cases import part
from tests.unit.toy import Toy

TOKENS = part(5, [5, 3, 4, 5])
GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(4, 5, 6, generator=GENERATOR) * TOKENS.valid[:, :, None]
SMALL = OnlineClusters(num_prototypes=7)


def build(config: OnlineClusters) -> torch.nn.Module:
    torch.manual_seed(0)
    module = config.build(6)
    torch.nn.init.normal_(module.prototypes.bias)
    return module


def reference(module: torch.nn.Module, groups: list[list[tuple[int, int]]]) -> tuple:
    """Assignments and summed loss by loops; a group is the (b, n) of the rows balanced together."""
    weight, bias = (p.detach().double().numpy() for p in module.prototypes.parameters())
    assigned, loss = np.zeros((4, 5, 7)), 0.0
    for group in groups:
        rows = np.stack([FEATURES[b, n].double().numpy() for b, n in group])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        scores = rows @ weight.T + bias
        matrix = np.exp(scores / 0.06)
        for _ in range(3):
            matrix /= matrix.sum(axis=0, keepdims=True)
            matrix /= matrix.sum(axis=1, keepdims=True)
        log_share = scores / 0.12 - np.log(np.exp(scores / 0.12).sum(axis=1, keepdims=True))
        loss -= (matrix * log_share).sum()
        for (b, n), row in zip(group, matrix):
            assigned[b, n] = row
    return assigned, loss


@pytest.mark.parametrize("position_wise", [True, False])
def test_assignments_and_loss_are_those_of_plain_loops(position_wise: bool):
    module = build(replace(SMALL, position_wise=position_wise))
    assigned_to, loss = module(TOKENS, (FEATURES,))
    places = [[(b, n) for b in range(4) if TOKENS.valid[b, n]] for n in range(5)]
    groups = places if position_wise else [[place for group in places for place in group]]
    assigned, expected = reference(module, groups)
    assert np.abs(assigned_to.numpy() - assigned).max() < 1e-5
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(SMALL.known(TOKENS), TOKENS.valid)
    assert not assigned_to.requires_grad


def test_only_the_prototypes_learn():
    module = build(SMALL)
    features = FEATURES.clone().requires_grad_()
    _, loss = module(TOKENS, (features,))
    loss.backward()
    assert features.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_the_loss_is_the_students_own():
    module = build(SMALL)
    truth, loss = module(TOKENS, (FEATURES,))
    scores = module.prototypes(torch.nn.functional.normalize(FEATURES, dim=-1))
    expected = TemperedCrossEntropy(temperature=0.12)(scores, truth)[TOKENS.valid].sum()
    torch.testing.assert_close(loss, expected)


def test_training_the_prototypes_lowers_their_loss():
    module = build(SMALL)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        _, loss = module(TOKENS, (FEATURES,))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_what_stands_at_invalid_tokens_never_matters():
    module = build(SMALL)
    noise = torch.where(TOKENS.valid[:, :, None], FEATURES, 3.0)
    truth, loss = module(TOKENS, (FEATURES,))
    again, loss_again = module(TOKENS, (noise,))
    assert torch.equal(truth, again)
    assert torch.equal(loss, loss_again)


def test_health_of_assignments():
    module = build(SMALL)
    assert module.health() == {}
    truth, _ = module(TOKENS, (FEATURES,))
    rows = truth[TOKENS.valid].double().numpy()
    first, mean = rows.argmax(axis=1), rows.mean(axis=0)
    share = np.bincount(first, minlength=7) / len(rows)
    share = share[share > 0]
    expected = {
        "entropy": -(rows * np.log(rows)).sum(axis=1).mean(),
        "mean_entropy": -(mean * np.log(mean)).sum(),
        "used": len(share) / 7,
        "perplexity": np.exp(-(share * np.log(share)).sum()),
    }
    health = {name: value.item() for name, value in module.health().items()}
    assert health == pytest.approx(expected, abs=1e-4)


def test_the_device_is_never_waited_for():
    module = build(SMALL)
    with SyncWatch() as watch:
        module(TOKENS, (FEATURES,))[1].backward()
        module.health()
    assert not watch.waits + watch.host_copies, watch.report()


def test_it_is_a_trained_target_that_a_recipe_can_save():
    loss = TemperedCrossEntropy()
    objective = Objective(name="clusters", modality="toy", target=SMALL, loss=loss)
    assert from_json(to_json(objective)) == objective
    assert isinstance(SMALL, TrainedTarget)
    assert SMALL.teacher_layers == (0,)
    assert SMALL.num_predicted(Toy(), 6) == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layer", 2),
        ("num_prototypes", 1),
        ("iterations", 0),
        ("teacher_temperature", 0.0),
        ("student_temperature", -0.1),
    ],
)
def test_a_bad_field_is_named(field: str, value: float):
    with pytest.raises(RecipeError, match=f"{field}.*got {value}"):
        OnlineClusters(**{field: value})
