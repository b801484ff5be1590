"""Two processes must be one: what they gather, how they balance, how their codebook moves."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from omnimask.foundation.collective import cat_over_ranks, max_over_ranks, num_ranks, sum_over_ranks
from omnimask.objectives.codebook import Codebook
from omnimask.objectives.sinkhorn import sinkhorn

NUM_ROWS = (5, 3)  # of each process
Results = dict[str, torch.Tensor]


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, sum(NUM_ROWS), 4, generator=generator),
        torch.randn(3, sum(NUM_ROWS), 6, generator=generator),
    )


def results(scores: torch.Tensor, steps: torch.Tensor) -> Results:
    """Assignments of (n b k) scores, and what a codebook becomes over steps (s t c)."""
    valid = torch.ones(scores.shape[:2], dtype=torch.bool)
    torch.manual_seed(0)
    codebook = Codebook(num_codes=7, dim=6, decay=0.5)
    ids = torch.cat([codebook(z)[1] for z in steps])
    return {
        "assigned": sinkhorn(scores, temperature=0.3, valid=valid),
        "alone": sinkhorn(scores, temperature=0.3, over_ranks=False),
        "codes": codebook.codes,
        "usage": codebook.usage,
        "ids": ids.unflatten(0, steps.shape[:2]),
    }


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    own = slice(sum(NUM_ROWS[:rank]), sum(NUM_ROWS[: rank + 1]))
    scores, steps = inputs()
    found = results(scores[:, own], steps[:, own])
    number = torch.tensor([float(rank), 1.0])
    found["sum"] = sum_over_ranks(number.clone())
    found["max"] = max_over_ranks(number.clone())
    found["cat"] = cat_over_ranks(number)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_one_process_is_left_alone():
    x = torch.tensor([1.0, 2.0])
    assert num_ranks() == 1
    for function in (sum_over_ranks, max_over_ranks, cat_over_ranks):
        assert function(x) is x


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path):
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    one = results(*inputs())
    both = torch.cat([first["assigned"], second["assigned"]], dim=1)
    torch.testing.assert_close(both, one["assigned"])
    assert not torch.allclose(first["alone"], first["assigned"]), "the check itself can fail"
    for found in (first, second):
        torch.testing.assert_close(found["codes"], one["codes"])
        torch.testing.assert_close(found["usage"], one["usage"])
        assert found["sum"].tolist() == [1, 2]
        assert found["max"].tolist() == [1, 1]
        assert found["cat"].tolist() == [0, 1, 1, 1]
    assert torch.equal(torch.cat([first["ids"], second["ids"]], dim=1), one["ids"])
