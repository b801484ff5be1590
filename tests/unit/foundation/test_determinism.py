"""The same sums with several threads, and nothing left behind."""

import pytest
import torch

import omnimask.training.loop as trainer
from omnimask.commands.pretrain import train
from omnimask.foundation.determinism import same_sums_on_cpu
from tests.unit.toy_recipe import toy_recipe


def gradient_of_gather(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    table = torch.zeros(8, values.shape[1], requires_grad=True)
    (table[ids] * values).sum().backward()
    assert table.grad is not None
    return table.grad


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_gradients_of_a_gather_are_the_same_every_time(threads: None):
    torch.manual_seed(0)
    values, ids = torch.randn(100_000, 16), torch.randint(0, 8, (100_000,))
    with same_sums_on_cpu(torch.device("cpu")):
        first = gradient_of_gather(values, ids)
        assert all(torch.equal(gradient_of_gather(values, ids), first) for _ in range(10))


def test_only_the_loop_runs_so(tmp_path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    step_once = trainer.step_once

    def watched(*arguments, **options):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return step_once(*arguments, **options)

    monkeypatch.setattr(trainer, "step_once", watched)
    train(toy_recipe(), tmp_path / "run")
    assert seen
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]  # a property of the module


def test_a_gpu_is_left_alone():
    with same_sums_on_cpu(torch.device("cuda")):
        assert not torch.are_deterministic_algorithms_enabled()
