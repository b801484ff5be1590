"""Every part of the day with a GPU is tried here on the CPU, and what happens when one fails."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch

from omnimask.recipe.loading import load_named_recipe
from tests.sync_watch import SyncWatch
from tools import gpu_day
from tools.benchmark import gpu_parts
from tools.benchmark.gpu_page import body, write_page
from tools.benchmark.gpu_parts import PARTS, Part, Place, debug_recipes, kind_of
from tools.benchmark.made_data import on_made_data
from tools.benchmark.step import our_step

HERE = Place(device="cpu", small=True)
# The cheapest item of each part where that is not the first.
ITEMS = {"parity": "recipes.remasker:debug", "profile": "mae-large"}


def pages_of(part: str, result: dict) -> str:
    items = {"rates": {"state": "done", "result": PARTS["machine"].run("rates", HERE)}}
    item = ITEMS.get(part, PARTS[part].items[0])
    parts = {"machine": items, part: {item: {"state": "done", "result": result}}}
    return body({"command": "gpu_day.py", "parts": json.loads(json.dumps(parts))})


@pytest.mark.filterwarnings("default")  # the profiler looks for a GPU
@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_and_is_written(part: str):
    with torch.compiler.set_stance("force_eager"):  # compiling takes minutes on a CPU
        result = PARTS[part].run(ITEMS.get(part, PARTS[part].items[0]), HERE)
    text = pages_of(part, result)
    assert "Nothing." in text
    assert text.count("\n## ") == (2 if part == "machine" else 3)


def test_the_day_has_every_debug_recipe_and_the_mixed_ones():
    assert {"recipes.mae:debug", "recipes.maskdistill:debug_drop"} < set(debug_recipes())
    assert debug_recipes()[-1] == "recipes.omni:capi"


def test_the_same_device_has_the_same_losses():
    found = PARTS["parity"].run("recipes.mae:debug", HERE)
    assert found["fp32"]["losses"] == found["cpu"]
    assert 0 < found["bf16"]["first"] < 1e-2
    assert found["waits"] == ""


@pytest.mark.parametrize("name", ["recipes.omni:debug", "recipes.capi:debug"])
def test_a_whole_step_never_waits(name: str):
    step = our_step(on_made_data(load_named_recipe(name)))
    step()
    with SyncWatch() as watch:
        step()
    assert not watch.waits, watch.report()


def test_operations_are_sorted():
    kinds = {name: kind_of(name) for name in ("aten::mm", "aten::addmm", "aten::mul")}
    assert list(kinds.values()) == ["matrix products", "matrix products", "rest"]
    for name in ("aten::_flash_attention_backward", "torch_attn::_varlen_attn", "aten::_sdp_x"):
        assert kind_of(name) == "attention"


def test_a_second_call_goes_on_where_the_first_stopped():
    before = {"machine": {"rates": {"state": "failed"}}, "tests": {"marked gpu": {"state": "done"}}}
    due = gpu_day.what_is_due(("machine", "tests", "varlen"), before)
    assert due == [("varlen", "attention"), ("machine", "rates")]


def test_a_failure_is_stored_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def run(item: str, place: Place) -> dict:
        if item == "slow":
            time.sleep(30)
        if item == "bad":
            raise ValueError("no such kernel")
        return {"item": item}

    part = Part(items=("slow", "bad", "good"), run=run, limit_s=0.25)
    monkeypatch.setattr(gpu_parts, "PARTS", {"made": part})
    due = gpu_day.what_is_due(("made",), {})
    gpu_day.work(due, tmp_path, device="cpu", small=True)
    found = gpu_day.load(tmp_path)["made"]
    assert [found[item]["state"] for item in part.items] == ["failed", "failed", "done"]
    assert "TimeoutError" in found["slow"]["error"]
    assert "no such kernel" in found["bad"]["error"]
    assert found["good"]["result"] == {"item": "good"}
    page = tmp_path / "page.md"
    write_page(tmp_path / gpu_day.RESULTS, page)
    assert "- made, bad (failed): `ValueError: no such kernel`" in page.read_text()


def test_a_process_that_hangs_is_ended_and_its_item_named(tmp_path: Path):
    started = {"state": "started", "at": time.time() - 100, "limit_s": 1.0}
    gpu_day.save(tmp_path, "made", "stuck", started)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    begun = time.time()
    gpu_day._watch(command, tmp_path, deadline=time.time() + 50)
    assert time.time() - begun < 20
    assert gpu_day.load(tmp_path)["made"]["stuck"]["state"] == "stopped"


def test_the_command_writes_results_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = ["--out", str(tmp_path), "--device", "cpu", "--small", "--only", "machine"]
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", *arguments])
    gpu_day.main()
    assert gpu_day.load(tmp_path)["machine"]["rates"]["state"] == "done"
    assert "bf16 product of 256" in (tmp_path / "gpu.md").read_text()
