"""The benchmark of whole steps, at tiny sizes: every case runs, and does the work it says."""

import json
import sys
from pathlib import Path

import pytest
import torch

from tools import bench
from tools.benchmark.cases import CASES
from tools.benchmark.fast_paths import FAST_PATHS
from tools.benchmark.padded import pad_rows
from tools.benchmark.page import table
from tools.benchmark.peers import peer_step
from tools.benchmark.step import OurStep, our_step
from tools.benchmark.timing import interleaved, ratio

PEERS = [(name, peer) for name, case in CASES.items() for peer in case.peers]


def loss_of(step: OurStep) -> torch.Tensor:
    return step.model(step.groups).loss({})


@pytest.mark.parametrize("name", CASES)
def test_our_step_learns_its_batch(name: str):
    step = our_step(CASES[name].prepared("cpu", small=True))
    before = loss_of(step).item()
    for _ in range(3):
        assert step().skipped.item() == 0.0
    assert loss_of(step).item() != before


@pytest.mark.parametrize(("name", "peer"), PEERS)
def test_a_peer_predicts_as_many_numbers_and_learns_its_batch(name: str, peer: str):
    step = our_step(CASES[name].prepared("cpu", small=True))
    recipe = step.recipe
    theirs = peer_step(CASES[name].peers[peer], recipe, step.groups[0], precision="fp32")
    # Close, not equal: tables of places are parameters with some and not with others.
    ours, others = (
        sum(p.numel() for key, p in model.named_parameters() if p.ndim > 1 and "plac" not in key)
        for model in (step.model, theirs.model)
    )
    assert others == pytest.approx(ours, rel=0.15)
    for group in theirs.optimizer.param_groups:
        group["lr"] = 1e-2
    losses = [theirs().item() for _ in range(8)]
    assert losses[-1] < losses[0]


def test_padded_rows_give_the_packed_loss_and_gradients():
    packed = our_step(CASES["mixed"].prepared("cpu", small=True))
    padded = packed.again()
    pad_rows(padded.model.backbone.encoder)
    losses = [loss_of(step) for step in (packed, padded)]
    torch.testing.assert_close(*losses)
    gradients = []
    for step, loss in zip((packed, padded), losses):
        loss.backward()
        gradients.append([p.grad for p in step.model.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


def test_results_are_stored_once_for_each_row_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cases = ["--cases", "mae-small,mixed", "--precisions", "fp32"]
    arguments = ["--small", "--rounds", "2", "--out", str(tmp_path), *cases]
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    bench.main()
    results = tmp_path / "bench.json"
    bench.store(results, json.loads(results.read_text())[0])
    rows = json.loads(results.read_text())
    assert [row["case"] for row in rows] == ["mixed", "mae-small"]
    assert set(rows[0]["systems"]) == {"omnimask", "one by one", "padded"}
    assert set(rows[1]["systems"]) == {"omnimask", "transformers", "timm"}
    assert rows[0]["hardware"]["threads"] == str(torch.get_num_threads())
    page = tmp_path / "page.md"
    page.write_text("Above\n<!-- results -->\n<!-- /results -->\nbelow\n")
    monkeypatch.setattr(sys, "argv", ["bench.py", "--out", str(tmp_path), "--write", str(page)])
    bench.main()
    assert table(rows) in page.read_text()
    assert page.with_suffix(".png").stat().st_size > 1000


def test_rounds_are_run_in_turn_and_ratios_taken_within_them():
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = interleaved(runs, rounds=2, warmup=1)
    assert "".join(order) == "abbaab"
    assert [len(part) for part in seconds.values()] == [2, 2]
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"ratio": 2.0, "from": 1.0, "to": 3.0}


@pytest.mark.parametrize("system", ["omnimask", "timm"])
def test_peak_memory_is_counted_in_the_child(system: str):
    assert bench._peak_of_two_steps("mae-small", system, "fp32", small=True) in range(500)


@pytest.mark.parametrize("name", [name for name in FAST_PATHS if "64 tokens" in name])
def test_fast_paths_are_compared(name: str):
    assert FAST_PATHS[name](1)["ratio"] > 0
