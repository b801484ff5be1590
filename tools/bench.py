"""Whole training steps of our recipes beside other implementations of the same work.

    python tools/bench.py --out runs/bench [--cases mae-small,mixed] [--rounds 7] [--device cuda]
    python tools/bench.py --out runs/bench --write docs/benchmarks.md

A step is forward, backward, clipping and AdamW on one batch of random data. Ours and the peers'
(transformers', and a plain one of timm's blocks) run in turn in one process; of every round the
ratio of the times is taken, and the page has the median, smallest and largest of the rounds. The
first command adds what it measures to `bench.json` in the folder, so that it can be called for a
few cases at a time; the second writes the table between the page's marks and the plot beside it.
`--fast-paths` compares single decisions of the core with what they replaced (docs/speed.md).

FLOPs are those of our step (`omnimask.training.cost`): of the model, not of what somebody computes
beyond it, so that their rate is the same measure for everyone.
"""

import argparse
import json
import multiprocessing
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnimask.training.checkpoint import write_json
from omnimask.training.cost import measure_cost
from tools.benchmark.cases import CASES, Case
from tools.benchmark.fast_paths import FAST_PATHS
from tools.benchmark.padded import pad_rows
from tools.benchmark.page import write_page
from tools.benchmark.peers import peer_step
from tools.benchmark.step import OurStep, Precision, compile_blocks, our_step
from tools.benchmark.timing import interleaved, matrix_rate, ratio, summary
from tools.results_table import measured

OURS = "omnimask"
Runs = dict[str, Callable[[], object]]

# Products of square matrices of this size run about as fast as the device can.
_MATRIX = {"cpu": 2048, "cuda": 8192}
# What makes a row of the results another one; a new one takes the place of the same.
_KEY = ("case", "device", "precision", "mode", "samples")


def measure(
    name: str,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    compiled: bool = False,
    small: bool = False,
    memory: bool = False,
    rounds: int = 7,
    batch: int | None = None,
) -> dict[str, Any]:
    """One row of the results: times, their ratios to ours, and the rate of our step's FLOPs."""
    case = CASES[name]
    recipe = case.prepared(device, small=small, batch=batch)
    ours = our_step(recipe, device=device, precision=precision)
    flops = measure_cost(ours.model, ours.groups).flops
    runs = _systems(case, ours, compiled=compiled)
    seconds = interleaved(runs, rounds=rounds, warmup=2, device=device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    systems = {
        system: {
            **summary(times),
            "time_over_ours": ratio(times, seconds[OURS]),
            "flops_per_s": round(flops / summary(times)["seconds"]),
        }
        for system, times in seconds.items()
    }
    if memory:
        for system in (OURS, *case.peers):
            systems[system]["peak_mb"] = peak_memory_mb(name, system, precision, small=small)
    return {
        "case": name,
        "device": device,
        "precision": precision,
        "mode": "compiled" if compiled else "eager",
        "samples": sum(map(len, ours.groups)),
        "flops": flops,
        "matrix_flops_per_s": round(matrix_rate(device, dtype, 256 if small else _MATRIX[device])),
        "systems": systems,
        **measured("transformers"),
    }


def _systems(case: Case, ours: OurStep, *, compiled: bool) -> Runs:
    """By name every step that does the work of ours, ours first."""
    recipe, precision = ours.recipe, ours.precision
    runs: Runs = {OURS: ours}
    for name, build in case.peers.items():
        peer = peer_step(build, recipe, ours.groups[0], precision=precision)
        if compiled:
            peer.model.compile()
        runs[name] = peer
    if len(ours.groups) > 1:
        one_by_one = [ours.on([group]) for group in ours.groups]
        runs["one by one"] = lambda: [step() for step in one_by_one]
        padded = ours.again()
        pad_rows(padded.model.backbone.encoder)
        runs["padded"] = padded
        if compiled:
            compile_blocks(padded.model)
    if compiled:
        compile_blocks(ours.model)
    return runs


def peak_memory_mb(name: str, system: str, precision: Precision, *, small: bool) -> int:
    """What two steps hold at most beyond the imports, in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of_two_steps, (name, system, precision), {"small": small})


def _peak_of_two_steps(name: str, system: str, precision: Precision, *, small: bool) -> int:
    import transformers  # noqa: F401  (all processes have the same imports)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    case = CASES[name]
    ours = our_step(case.prepared("cpu", small=small), precision=precision)
    step: Callable[[], object] = ours
    if system != OURS:
        recipe, group = ours.recipe, ours.groups[0]
        del ours
        step = peer_step(case.peers[system], recipe, group, precision=precision)
    for _ in range(2):
        step()
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for name in options.cases.split(","):
        for precision in options.precisions.split(","):
            for mode in options.modes.split(","):
                yield measure(
                    name,
                    device=options.device,
                    precision=precision,
                    compiled=mode == "compiled",
                    small=options.small,
                    memory=options.memory and mode == "eager" and options.device == "cpu",
                    rounds=options.rounds,
                    batch=options.batch,
                )


def store(path: Path, row: dict[str, Any]) -> None:
    """Adds a row to the results, in place of an earlier one of the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else []
    kept = [r for r in results if any(r[key] != row[key] for key in _KEY)]
    write_json(path, [*kept, row])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--cases", default=",".join(CASES), help="by comma: %(default)s")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--modes", default="eager", help="eager, compiled, or both by comma")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=None, help="of every stream")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--memory", action="store_true", help="peak memory too (on a CPU)")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the tool")
    parser.add_argument("--fast-paths", action="store_true", help="print these comparisons only")
    parser.add_argument("--write", type=Path, default=None, help="only write this page")
    options = parser.parse_args()
    results = options.out / "bench.json"
    if options.fast_paths:
        found = {what: run(options.rounds) for what, run in FAST_PATHS.items()}
        print(json.dumps({**measured(), **found}, indent=1))
    elif options.write is not None:
        write_page(json.loads(results.read_text()), options.write)
    else:
        for row in rows(options):
            store(results, row)
            print(json.dumps({key: row[key] for key in (*_KEY, "systems")}), flush=True)


if __name__ == "__main__":
    main()
