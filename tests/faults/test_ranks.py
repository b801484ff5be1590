"""Several processes: killed, signalled, hung, in every layout; what one does the others do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ranks import LAYOUTS, STEPS, apart
from tests.unit.conftest import toys_may_be_loaded  # noqa: F401 (a fixture)

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys_may_be_loaded")]

OTHER_LAYOUTS = ("one from fsdp4", "fsdp2 from ddp4", "ddp2 from fsdp4")
FAULTS = ("signal SIGUSR1 2", "signal SIGTERM 1", "signal SIGINT 1", "killed", "full_disk", "hung")
REFUSED = {
    "ACCELERATE_USE_DEEPSPEED=true": "DeepSpeed",
    "ACCELERATE_MIXED_PRECISION=fp16": "--mixed_precision fp16",
    "ACCELERATE_DYNAMO_BACKEND=INDUCTOR": "--dynamo_backend INDUCTOR",
    "FSDP_VERSION=1": "FSDP version 1",
    "FSDP_OFFLOAD_PARAMS=true": "--fsdp_offload_params",
}


@pytest.fixture(scope="module")
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What came of the scenarios, all of which one process starts."""
    folder = tmp_path_factory.mktemp("ranks")
    refused = [f"refuse {name}" for name in REFUSED]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.ranks", str(folder)),
            *(*LAYOUTS, *OTHER_LAYOUTS, *FAULTS, *refused),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def outcome(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / f"{name}.json").read_text())


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_learns_what_one_process_learns(out: Path, name: str):
    assert outcome(out, name)["statuses"] == [0] * LAYOUTS[name].world
    assert apart(out / "one", out / name) < 1e-5


@pytest.mark.parametrize("name", OTHER_LAYOUTS)
def test_a_checkpoint_of_one_layout_goes_on_in_another(out: Path, name: str):
    assert set(outcome(out, name)["statuses"]) == {0}
    assert apart(out / "one", out / name.replace(" ", "-")) < 1e-5


def test_each_process_writes_its_part_and_torch_reads_them(out: Path):
    from torch.distributed.checkpoint import HuggingFaceStorageReader

    from omnimask.training.tensor_parts import load_parts

    names = outcome(out, "fsdp4")["files"][f"step-{STEPS:08d}"]
    assert names[1:5] == [f"model-{n:05d}-of-00004.safetensors" for n in range(1, 5)]
    folder = out / f"fsdp4/checkpoints/step-{STEPS:08d}"
    sizes = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    for name, tensor in {**load_parts(folder, "model"), **load_parts(folder, "optimizer")}.items():
        assert sizes[name].size == tensor.shape, name  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("name", "status"),
    [("signal SIGUSR1 2", 75), ("signal SIGTERM 1", 75), ("signal SIGINT 1", 130)],
)
def test_a_signal_to_one_process_saves_and_ends_all(out: Path, name: str, status: int):
    found = outcome(out, name)
    assert found["statuses"] == [status] * int(name.split()[2])
    saved = int(list(found["files"])[-1].removeprefix("step-"))
    assert saved == found["last"], "the log ends where the checkpoint is"
    assert f"stopped by {name.split()[1]} after step {saved}, which is saved" in found["log"]


def test_no_process_waits_for_one_that_was_killed(out: Path):
    found = outcome(out, "killed")
    assert found["statuses"] == [76, -9]
    assert "another process of this run has ended" in found["log"]


def test_a_full_disk_leaves_the_checkpoints_before(out: Path):
    found = outcome(out, "full_disk")
    assert found["statuses"] == [0, 2, 0]
    assert found["left"] == found["before"] == {"step-00000002": 2, "step-00000004": 4}
    assert "step-00000006 could not be written" in found["log"]
    assert "step-00000004 is whole" in found["log"]
    assert list(found["files"]) == ["step-00000006", "step-00000008"]


def test_a_step_that_hangs_ends_and_says_where(out: Path):
    found = outcome(out, "hung")
    assert found["statuses"] == [76, 76]
    culprit = found["said"]["hung-rank-1.txt"]
    assert "rank 1) is waiting for its data" in culprit
    assert "sample-" in culprit or "toy" in culprit
    assert "in hanging" in culprit


@pytest.mark.parametrize("setting", REFUSED)
def test_what_a_launcher_wants_is_refused_by_name(out: Path, setting: str):
    found = outcome(out, f"refuse {setting}")
    assert found["statuses"] == [2]
    assert REFUSED[setting] in found["log"]
