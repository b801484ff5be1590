"""What `tools/gpu_day.py` does on a GPU, part by part; every item gives numbers for its page.

Everything runs on a CPU with `small` too, so that nothing is tried for the first time on the day.
"""

import gc
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage] documented

from omnimask.data.loading import load_steps
from omnimask.data.streams import Shard, Steps, open_streams
from omnimask.foundation.errors import OmnimaskError
from omnimask.network.blocks import Attention, AttentionPath, Packing
from omnimask.recipe.catalogue import find_recipes
from omnimask.recipe.loading import load_named_recipe
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Stream
from omnimask.tokens.tokens import Rows
from omnimask.training.cost import measure_cost
from omnimask.training.optimisation import StepReport, step_once
from recipes.small import debug_size
from tools.benchmark.cases import CASES
from tools.benchmark.made_data import on_made_data
from tools.benchmark.peers import peer_step
from tools.benchmark.step import OurStep, Precision, compile_blocks, our_step
from tools.benchmark.timing import finished, matrix_rate

ROOT = Path(__file__).resolve().parents[2]
MIXED = ("mae", "data2vec2", "vjepa", "capi")
# Dense bf16 FLOP/s by the makers' data sheets.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an item runs: on "cuda" as it is, or with `small` sizes to try it."""

    device: str
    small: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Items in the order of their value; each is done apart and may take `limit_s`."""

    items: tuple[str, ...]
    run: Callable[[str, Place], dict[str, Any]]
    limit_s: float


def machine(item: str, place: Place) -> dict[str, Any]:
    """What the device can do: its best product of matrices, and how fast it copies."""
    sizes = (256,) if place.small else (4096, 8192, 16384)
    rates = {
        f"{name} product of {size}": matrix_rate(place.device, dtype, size)
        for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))
        for size in sizes
    }
    source = torch.randn(1 << (16 if place.small else 30), device=place.device)
    target = torch.empty_like(source)
    copy_s = _seconds_per_call(lambda: target.copy_(source), place)["seconds"]
    return {
        "flops_per_s": max(rate for name, rate in rates.items() if name.startswith("bf16")),
        "rates": rates,
        "copied_bytes_per_s": 2 * source.nbytes / copy_s,
        "data_sheet_flops_per_s": data_sheet_peak(place),
    }


def data_sheet_peak(place: Place) -> float | None:
    if place.device == "cpu":
        return None
    name = torch.cuda.get_device_name()
    return next((peak for chip, peak in PEAKS.items() if chip in name), None)


def tests(item: str, place: Place) -> dict[str, Any]:
    """The tests marked `gpu`; without the plug-ins and strictness that a bare machine lacks."""
    found = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if _has_gpu_tests(path))
    files = [str(path.relative_to(ROOT)) for path in found[: 1 if place.small else None]]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-m", "gpu", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=--strict-markers", "-o", "filterwarnings=default", *files]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    failed = re.findall(r"^(?:FAILED|ERROR) .*$", done.stdout, re.MULTILINE)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    return {"counts": counts, "failed": failed, "output": done.stdout[-6000:]}


def _has_gpu_tests(path: Path) -> bool:
    return "@pytest.mark.gpu\n" in path.read_text()


def debug_recipes() -> tuple[str, ...]:
    entries = (entry.reference for entry in find_recipes())
    debug = [name for name in entries if name.rpartition(":")[2].startswith("debug")]
    return (*debug, *(f"recipes.omni:{method}" for method in MIXED))


def parity(item: str, place: Place) -> dict[str, Any]:
    """Losses of a few steps on the CPU and on the device, and whether a step there ever waits.

    `first` compares the losses before any weight has changed, `last` after the steps.
    """
    recipe = load_named_recipe(item)
    recipe = on_made_data(recipe if ":debug" in item else debug_size(recipe))
    torch.backends.cudnn.allow_tf32 = False
    count = 2 if place.small else 4
    expected = _losses(our_step(recipe), count)
    found: dict[str, Any] = {"cpu": expected}
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in precisions:
        step = our_step(recipe, device=place.device, precision=precision)
        losses = _losses(step, count)
        errors = [abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True)]
        found[precision] = {"losses": losses, "first": errors[0], "last": errors[-1]}
        found["waits"] = found.get("waits") or _what_waits(step, place)
    return found


def _losses(step: OurStep, count: int) -> list[float]:
    return [_loss(step, step()).item() for _ in range(count)]


def _loss(step: OurStep, report: StepReport) -> torch.Tensor:
    return report.outcome.loss({o.name: o.weight for o in step.recipe.objectives})


def _what_waits(step: OurStep, place: Place) -> str:
    """The message of the first operation that makes the host wait; empty if none does."""
    if place.device == "cpu":
        return ""
    finished(place.device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            step()
    except RuntimeError as error:
        return _where(error)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def _where(error: BaseException) -> str:
    """The error with the innermost line of this repository that it came from."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "omnimask") or path.is_relative_to(ROOT / "modalities"):
            line = f"{path.relative_to(ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{line}: {str(error).splitlines()[0]}"


def throughput(item: str, place: Place) -> dict[str, Any]:
    """Whole steps of a case: "mae-large", "mae-large compiled", "mae-large transformers", ...

    Where the batch does not fit into the device's memory, half of it is tried.
    """
    name, *how = item.split()
    batch = None
    for _ in range(4):
        try:
            return _throughput(name, how, place, batch)
        except torch.cuda.OutOfMemoryError:
            recipe = CASES[name].prepared(place.device, small=place.small, batch=batch)
            batch = max(recipe.data.streams[0].batch_size // 2, 1)
        gc.collect()
        torch.cuda.empty_cache()
    raise MemoryError(f"{item} does not fit, even with a batch of {batch}")


def _throughput(name: str, how: list[str], place: Place, batch: int | None) -> dict[str, Any]:
    recipe = CASES[name].prepared(place.device, small=place.small, batch=batch)
    if "varlen" in how:
        style = replace(recipe.encoder.style, attention="varlen")
        recipe = replace(recipe, encoder=replace(recipe.encoder, style=style))
    ours = our_step(recipe, device=place.device, precision="bf16")
    with torch.autocast(place.device, torch.bfloat16):
        flops = measure_cost(ours.model, ours.groups).flops
    step: Callable[[], object] = ours
    if peer := next((peer for peer in how if peer in CASES[name].peers), None):
        build = CASES[name].peers[peer]
        step = theirs = peer_step(build, ours.recipe, ours.groups[0], precision="bf16")
        if "compiled" in how:
            theirs.model.compile()
    elif "compiled" in how:
        compile_blocks(ours.model)
    samples = sum(map(len, ours.groups))
    if peer:
        del ours
        gc.collect()
    started = time.perf_counter()
    step()
    finished(place.device)
    first_s = time.perf_counter() - started
    if place.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found = _seconds_per_call(step, place)
    return {
        **found,
        "first_step_s": round(first_s, 2),
        "samples": samples,
        "samples_per_s": round(samples / found["seconds"], 1),
        "flops": flops,
        "flops_per_s": flops / found["seconds"],
        "peak_gb": _peak_gb(place),
    }


def _peak_gb(place: Place) -> float | None:
    return None if place.device == "cpu" else round(torch.cuda.max_memory_allocated() / 1e9, 2)


def _seconds_per_call(run: Callable[[], object], place: Place) -> dict[str, Any]:
    """The median over some rows of calls, which the host may run ahead of.

    `issued` is the share of the time in which the host was still asking: near 1, the device waits
    for the host.
    """
    for _ in range(3):
        run()
    finished(place.device)
    started = time.perf_counter()
    run()
    finished(place.device)
    once = time.perf_counter() - started
    calls = 1 if place.small else min(max(round(0.6 / once), 3), 30)
    per_call, issued = [], []
    for _ in range(1 if place.small else 4):
        started = time.perf_counter()
        for _ in range(calls):
            run()
        asked = time.perf_counter() - started
        finished(place.device)
        took = time.perf_counter() - started
        per_call.append(took / calls)
        issued.append(asked / took)
    return {
        "seconds": statistics.median(per_call),
        "slowest": max(per_call),
        "fastest": min(per_call),
        "issued": round(statistics.median(issued), 3),
    }


def profile(item: str, place: Place) -> dict[str, Any]:
    """Shares of a bf16 step: matrix products, attention, the rest; and the longest operations."""
    step = our_step(
        CASES[item].prepared(place.device, small=place.small),
        device=place.device,
        precision="bf16",
    )
    for _ in range(3):
        step()
    finished(place.device)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if place.device != "cpu":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profiler:
        for _ in range(3):
            step()
        finished(place.device)
    return shares(profiler, place.device)


def shares(profiler: torch.profiler.profile, device: str) -> dict[str, Any]:
    """Of the time that operations themselves took on the device (of a CPU: on the CPU)."""
    times: dict[str, float] = {}
    for event in profiler.key_averages():
        if event.device_type == DeviceType.CPU:
            own = event.self_cpu_time_total if device == "cpu" else event.self_device_time_total
            times[event.key] = times.get(event.key, 0.0) + own
    total = sum(times.values()) or 1.0
    grouped: dict[str, float] = {"matrix products": 0.0, "attention": 0.0, "rest": 0.0}
    for name, took in times.items():
        grouped[kind_of(name)] += took / total
    longest = sorted(times.items(), key=lambda pair: -pair[1])[:25]
    return {
        "shares": {name: round(share, 4) for name, share in grouped.items()},
        "longest": {name: round(took / total, 4) for name, took in longest},
    }


def kind_of(operation: str) -> str:
    if re.search(r"attention|flash|varlen|_sdp", operation):
        return "attention"
    if re.search(r"::_?(mm|addmm|bmm|baddbmm|addmm_activation|linear|mkldnn_linear)\b", operation):
        return "matrix products"
    return "rest"


def varlen(item: str, place: Place) -> dict[str, Any]:
    """One variable-length call beside dense blocks on a mixed batch: outputs, gradients, time.

    Errors are norms of differences from dense attention in fp32, over its norm, beside those of
    dense attention in bf16.
    """
    size = 64 if place.small else 768
    counts = (4, 2, 2, 4, 3) if place.small else (64, 16, 16, 64, 256)
    rows = zip(counts, (50, 161, 103, 27, 8), strict=True)
    groups = tuple(Rows.of(tuple(n - i % 3 for i in range(count))) for count, n in rows)
    torch.manual_seed(0)
    x = torch.randn(sum(rows.num_tokens for rows in groups), size, device=place.device)
    weights = Attention(size, size // 64 or 1).to(place.device).state_dict()
    found: dict[str, Any] = {}
    results: dict[str, list[torch.Tensor]] = {}
    runs: tuple[tuple[str, AttentionPath, torch.dtype], ...] = (
        ("reference", "dense", torch.float32),
        ("dense", "dense", torch.bfloat16),
        ("varlen", "varlen", torch.bfloat16),
    )
    for name, path, dtype in runs:
        attention = Attention(size, size // 64 or 1, path=path).to(place.device, dtype)
        attention.load_state_dict(weights)
        given = x.to(dtype, copy=True).requires_grad_()

        def run(attention: Attention = attention, given: torch.Tensor = given) -> torch.Tensor:
            given.grad = None
            out = attention(given, Packing(groups=groups))
            (out.float().square().sum() / len(out)).backward()
            return out.detach()

        out = run()
        assert given.grad is not None
        results[name] = [out.float(), given.grad.float()]
        found[name] = _seconds_per_call(run, place)
        if name != "reference":
            found[name]["errors"] = [
                ((ours - true).norm() / true.norm()).item()
                for ours, true in zip(results[name], results["reference"], strict=True)
            ]
    return found


def training(item: str, place: Place) -> dict[str, Any]:
    """A short run of the mixed recipe through the loader, in fp32 and bf16."""
    recipe = on_made_data(CASES["mixed"].recipe())
    if place.small:
        recipe = CASES["mixed"].prepared("cpu", small=True)
    count = 4 if place.small else 60
    optim = replace(recipe.optim, steps=count, warmup_steps=count // 10)
    recipe = replace(recipe, optim=optim)
    found: dict[str, Any] = {}
    precisions: tuple[Precision, ...] = ("bf16", "fp32")
    for precision in precisions:
        step = our_step(recipe, device=place.device, precision=precision)
        steps = Steps(step.recipe, open_streams(recipe), Shard())
        losses = []
        started = time.perf_counter()
        for number in range(count):
            losses.append(_loss(step, step_once(step.training, steps[number])))
        values = torch.stack(losses).tolist()
        found[precision] = {
            "first": values[0],
            "last": statistics.mean(values[-5:]),
            "finite": all(value == value for value in values),
            "seconds": time.perf_counter() - started,
        }
    return found


def loader(item: str, place: Place) -> dict[str, Any]:
    """The share of the time in which a step waits for its batch: JPEGs, one worker per core."""
    with tempfile.TemporaryDirectory() as root:
        _write_jpegs(Path(root) / "train" / "any", 8 if place.small else 512, place)
        recipe = _on_jpegs(item, root, place)
        step = our_step(recipe, device=place.device, precision="bf16")
        steps = Steps(step.recipe, open_streams(recipe), Shard())
        batches = iter(
            load_steps(
                steps,
                num_workers=1 if place.small else os.cpu_count() or 1,
                pin_memory=place.device != "cpu",
            )
        )
        warmup, count = (1, 2) if place.small else (5, 25)
        waited, started = 0.0, 0.0
        for number in range(warmup + count):
            if number == warmup:
                finished(place.device)
                waited, started = 0.0, time.perf_counter()
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            if isinstance(batch, OmnimaskError):
                raise batch
            step_once(step.training, batch)
            # Else the host would run ahead, and wait for batches that the device does not need yet.
            finished(place.device)
        took = time.perf_counter() - started
        samples = count * recipe.data.streams[0].batch_size
        del batches
    return {
        "share_waiting": waited / took,
        "samples_per_s": samples / took,
        "workers": os.cpu_count(),
    }


def _on_jpegs(name: str, root: str, place: Place) -> Recipe:
    from modalities.image import ImageFiles

    recipe = CASES[name].prepared(place.device, small=place.small)
    files = ImageFiles(path="train", crop_scale=(0.2, 1.0), flip=0.5, interpolation="bicubic")
    stream = Stream(
        name="image",
        files={"image": files},
        batch_size=recipe.data.streams[0].batch_size,
    )
    optim = replace(recipe.optim, steps=1000, warmup_steps=0, accumulate=1)
    return replace(recipe, data=Data(root=root, streams=(stream,)), optim=optim)


def _write_jpegs(folder: Path, count: int, place: Place) -> None:
    """Smooth pictures with some noise, of the usual size: about 100 kB each."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    size = (40, 40) if place.small else (500, 375)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = (smooth + rng.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


_MAIN = ("mae-large", "mixed-base", "videomae-base", "mae-base", "vjepa-large", "capi-large")
_PEERED = ("mae-large", "mae-base", "videomae-base")
PARTS: Mapping[str, Part] = {
    "machine": Part(items=("rates",), run=machine, limit_s=40),
    "tests": Part(items=("marked gpu",), run=tests, limit_s=120),
    "throughput": Part(items=_MAIN, run=throughput, limit_s=60),
    "parity": Part(items=debug_recipes(), run=parity, limit_s=30),
    "profile": Part(items=("mae-large", "mixed-base"), run=profile, limit_s=40),
    "peers": Part(
        items=tuple(f"{name} transformers" for name in _PEERED), run=throughput, limit_s=60
    ),
    "varlen": Part(items=("attention",), run=varlen, limit_s=40),
    "varlen steps": Part(items=("mixed-base varlen",), run=throughput, limit_s=60),
    "training": Part(items=("mixed",), run=training, limit_s=60),
    "loader": Part(items=("mae-base",), run=loader, limit_s=60),
    "compiled": Part(
        items=tuple(f"{name} compiled" for name in (*_MAIN[:1], *_MAIN[2:], *_MAIN[1:2])),
        run=throughput,
        limit_s=90,
    ),
    "compiled peers": Part(
        items=tuple(f"{name} transformers compiled" for name in _PEERED),
        run=throughput,
        limit_s=100,
    ),
}
