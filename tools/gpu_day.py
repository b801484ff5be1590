"""Everything that a GPU is wanted for, in one command of less than ten minutes.

    python tools/gpu_day.py --out runs/gpu_day
    python tools/gpu_day.py --out runs/gpu_day --write docs/gpu.md
    python tools/gpu_day.py --out /tmp/tried --device cpu --small

Needs PyTorch, transformers and timm; no decord, Open3D or PyTorch3D, no data and no network. The
parts (`tools/benchmark/gpu_parts.py`) come in the order of their value. Each item's result is in
`gpu_day.json` as soon as it is there, and so is the traceback of one that fails or the word that it
took too long; the others go on in any case, in another process where this one was lost. The command
ends after `--budget-s`. Called again it goes on where it stopped: first with what was never tried,
then with what failed the last time; `--earlier` takes what another folder has. It ends by writing
`gpu.md` in the folder; the second command writes the same between the marks of a page.
"""

import argparse
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RESULTS = "gpu_day.json"
_GRACE_S = 10.0  # beyond an item's limit, after which its process is ended from outside

Item = tuple[str, str]  # a part and one of its items
Results = dict[str, dict[str, dict[str, Any]]]  # by part and item: state, seconds, result or error


def load(out: Path) -> Results:
    path = out / RESULTS
    return json.loads(path.read_text())["parts"] if path.exists() else {}


def save(out: Path, part: str, item: str, found: dict[str, Any]) -> None:
    from omnimask.training.checkpoint import write_json
    from tools.results_table import measured

    results = load(out)
    results.setdefault(part, {})[item] = found
    write_json(
        out / RESULTS,
        {"command": " ".join(sys.argv), **measured("transformers", "triton"), "parts": results},
    )


# In the process that does the work


def work(due: Sequence[Item], out: Path, *, device: str, small: bool) -> None:
    """Does items one after another; ends early if the device is no longer fit for use."""
    import torch

    from tools.benchmark.gpu_parts import PARTS, Place

    signal.signal(signal.SIGALRM, _too_long)
    place = Place(device=device, small=small)
    for part, item in due:
        started = time.time()
        limit_s = PARTS[part].limit_s * _slack(device)
        save(out, part, item, {"state": "started", "at": started, "limit_s": limit_s})
        signal.alarm(round(limit_s))
        try:
            found = {"state": "done", "result": PARTS[part].run(item, place)}
        except Exception:
            found = {"state": "failed", "error": traceback.format_exc()[-4000:]}
        finally:
            signal.alarm(0)
        save(out, part, item, {**found, "seconds": round(time.time() - started, 1)})
        print(f"{part}, {item}: {found['state']} after {time.time() - started:.1f} s", flush=True)
        torch.compiler.reset()
        gc.collect()
        if device != "cpu":
            torch.cuda.synchronize()  # raises where a kernel has failed: this process is lost
            torch.cuda.empty_cache()


def _too_long(signum: int, frame: object) -> None:
    raise TimeoutError("took longer than the part's limit")


def _slack(device: str) -> float:
    """A CPU is only for trying, and may take its time."""
    return 4.0 if device == "cpu" else 1.0


# In the process that was started


def run_all(out: Path, due: list[Item], *, arguments: list[str], budget_s: float) -> None:
    """Has the items done by a process of their own, and by another one where that ends early."""
    deadline = time.time() + budget_s
    before = load(out)
    while due and time.time() < deadline:
        command = [sys.executable, __file__, "--out", str(out), *arguments]
        _watch([*command, "--work", json.dumps(due)], out, deadline)
        tried = load(out)
        left = [pair for pair in due if _entry(tried, pair) == _entry(before, pair)]
        if left == due:  # the process did not even begin
            save(out, *due[0], {"state": "failed", "error": "its process did not start"})
            left = due[1:]
        due = left


def what_is_due(parts: Sequence[str], before: Results) -> list[Item]:
    """What was never tried, then what was tried and not done, by part."""
    from tools.benchmark.gpu_parts import PARTS

    pairs = [(part, item) for part in parts for item in PARTS[part].items]
    new = [pair for pair in pairs if _entry(before, pair) is None]
    again = [pair for pair in pairs if (_entry(before, pair) or {}).get("state", "done") != "done"]
    return new + again


def _entry(results: Results, pair: Item) -> dict[str, Any] | None:
    part, item = pair
    return results.get(part, {}).get(item)


def _watch(command: list[str], out: Path, deadline: float) -> None:
    """Runs a process; ends it with the budget, or when an item outlasts its limit."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    while process.poll() is None:
        time.sleep(0.2)
        due_s = deadline
        if running := _running(out):
            due_s = min(due_s, running[2]["at"] + running[2]["limit_s"] + _GRACE_S)
        if time.time() > due_s:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if running := _running(out):  # it was ended, or has crashed
        part, item, found = running
        took = time.time() - found["at"]
        error = f"its process ended with {process.returncode} after {took:.0f} s"
        save(out, part, item, {"state": "stopped", "error": error, "seconds": round(took, 1)})


def _running(out: Path) -> tuple[str, str, dict[str, Any]] | None:
    for part, items in load(out).items():
        for item, found in items.items():
            if found["state"] == "started":
                return part, item, found
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gpu_day"))
    parser.add_argument("--earlier", type=Path, default=None, help="gpu_day.json to go on from")
    parser.add_argument("--budget-s", type=float, default=540.0)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try everything")
    parser.add_argument("--only", nargs="*", default=[], help="these parts alone")
    parser.add_argument("--write", type=Path, default=None, help="only write this page")
    parser.add_argument("--work", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out.resolve()
    if options.work is not None:
        work(json.loads(options.work), out, device=options.device, small=options.small)
        return
    from tools.benchmark.gpu_page import write_page
    from tools.benchmark.gpu_parts import PARTS

    if options.write is None:
        out.mkdir(parents=True, exist_ok=True)
        if options.earlier is not None and not (out / RESULTS).exists():
            shutil.copy(options.earlier, out / RESULTS)
        due = what_is_due([part for part in PARTS if part in (options.only or PARTS)], load(out))
        arguments = ["--device", options.device, *(["--small"] if options.small else [])]
        run_all(out, due, arguments=arguments, budget_s=options.budget_s)
    write_page(out / RESULTS, options.write or out / "gpu.md")


if __name__ == "__main__":
    main()
