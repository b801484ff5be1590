"""Build the wheel and try it as somebody would who has no clone: one empty environment per extra.

    python tools/try_wheel.py
    python tools/try_wheel.py --extras image,audio --python 3.12 --keep

Every environment has Python, the wheel with one extra, and nothing else; commands run in an empty
folder. The environment of `sample-data` (which has all readers) makes the data of the others. Each
modality pretrains where its own extra is installed, and where it is not, the error names the extra.
Needs uv and the package index; takes some minutes, most of it for the first downloads.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRA_OF = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "points": "points",
    "voxels": "voxels",
    "table": "tabular",
    "volume": "volume",
    "skeleton": "series",
}
"""By modality, the extra with which it pretrains and nothing else."""

BESIDE = {
    "hub": ("huggingface_hub", ""),  # which timm brings anyhow
    "demo": ("gradio", "omnimask demo runs"),
    "optuna": ("optuna", "omnimask sweep recipes.mae:cpu --search optim.lr=1e-4:1e-3"),
    "wandb": ("wandb", "omnimask pretrain recipes.mae:cpu --set run.tracker=wandb"),
    "trackio": ("trackio", "omnimask pretrain recipes.mae:cpu --set run.tracker=trackio"),
    "finetune": ("peft", ""),
    "export": ("onnx", ""),
    "huggingface": ("datasets", ""),
    "remote": ("fsspec", ""),
}
"""Extras without a modality: what they bring, and a command that names the extra without it."""

_SHORT = ("--set", "optim.steps=4", "--set", "optim.warmup_steps=1", "--set", "run.num_workers=0")
_OWN = """
from dataclasses import replace

import recipes.mae


def mine(modality="image"):
    recipe = recipes.mae.cpu(modality)
    return replace(recipe, name="mine", optim=replace(recipe.optim, steps=4, warmup_steps=1))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command line of bash, the status that it should end with, and what it should say."""

    name: str
    command: str
    status: int = 0
    says: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    extra: str
    step: str
    seconds: float
    problem: str


def steps_of(extra: str, data: Path) -> Iterator[Step]:
    """What is tried in the environment of one extra ("" is none)."""
    yield Step(name="help", command="omnimask --help", says="usage: omnimask")
    yield Step(name="recipes | head", command="omnimask recipes | head -1", says="recipes.")
    yield Step(name="doctor", command="omnimask doctor", says="to mend\n  nothing")
    if extra in BESIDE:
        package, _ = BESIDE[extra]
        command = f"python -c 'import {package}; print({package}.__name__)'"
        yield Step(name=package, command=command, says=package)
        return
    if extra == "":
        for name, (_, command) in BESIDE.items():
            if command:
                says = f"uv pip install 'omnimask[{name}]'"
                yield Step(name=f"no {name}", command=command, status=2, says=says)
    if extra == "sample-data":
        yield Step(name="sample data", command=f"omnimask sample-data {data}", says="is ready")
        quickstart = f"omnimask pretrain recipes.omni:quickstart --set data.root={data}"
        few = " ".join(_SHORT)
        yield Step(name="quickstart", command=f"{quickstart} {few}", says="report: runs/quickstart")
        yield Step(
            name="own recipe",
            command=f"omnimask pretrain my_recipes.py:mine --set data.root={data}",
            says="report: runs/mine",
        )
        return
    for modality, needed in EXTRA_OF.items():
        out = f"--out runs/{modality} {' '.join(_SHORT)} --set run.report=False"
        command = f"omnimask pretrain recipes.mae:cpu:{modality} --set data.root={data} {out}"
        # The sample data's sweeps are read by NumPy, which is always there.
        if extra == needed or modality == "voxels":
            yield Step(
                name=modality, command=f"{command} && ls runs/*/checkpoints", says="step-00000004"
            )
        elif not _includes(extra, needed):
            named = f"uv pip install 'omnimask[{needed}]'"
            yield Step(name=f"no {modality}", command=command, status=2, says=named)


def _includes(extra: str, other: str) -> bool:
    """Whether one extra brings what the modality of another needs."""
    return (extra, other) in {("video", "image"), ("video", "audio"), ("audio", "video")}


def build(folder: Path) -> Path:
    """The wheel of this tree, from a copy: setuptools would take what is left in build/ too."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("omnimask", "modalities", "recipes"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    run([_uv(), "build", "--wheel", "--quiet", "--out-dir", str(folder)], source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, extra: str, environment: Path, python: str) -> None:
    run([_uv(), "venv", "--quiet", "--python", python, str(environment)], environment.parent)
    named = f"omnimask[{extra}]" if extra else "omnimask"
    target = ["--python", str(environment / "bin" / "python")]
    # Compiled, as pip does: else the first start of every command would compile all of torch.
    target.append("--compile-bytecode")
    run([_uv(), "pip", "install", "--quiet", *target, f"{named} @ file://{wheel}"], ROOT)


def try_extra(extra: str, environment: Path, folder: Path, data: Path) -> Iterator[Tried]:
    folder.mkdir()
    (folder / "my_recipes.py").write_text(_OWN)
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables["PATH"] = f"{environment / 'bin'}:{variables['PATH']}"
    for step in steps_of(extra, data):
        started = time.perf_counter()
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", step.command],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - started
        yield Tried(extra=extra, step=step.name, seconds=seconds, problem=_problem(step, done))


def _problem(step: Step, done: "subprocess.CompletedProcess[str]") -> str:
    said = done.stdout + done.stderr
    # A writer whose reader has left ends with 141 (128 + SIGPIPE).
    if done.returncode not in (step.status, 141) or "Traceback" in said:
        return f"status {done.returncode}: {said.strip()[-1500:]}"
    return "" if step.says in said else f"did not say {step.says!r}: {said.strip()[-1500:]}"


def run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)


def _uv() -> str:
    found = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")
    if not Path(found).is_file():
        sys.exit("this needs uv: https://docs.astral.sh/uv/ (or `make setup`, which brings it)")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = ["sample-data", "none", *dict.fromkeys(EXTRA_OF.values()), *BESIDE]
    parser.add_argument("--extras", default=",".join(every), help="by comma (%(default)s)")
    parser.add_argument("--data", type=Path, help="sample data that are there already")
    parser.add_argument("--python", default=sys.executable, help="for uv, such as 3.13")
    parser.add_argument("--keep", action="store_true", help="leave the environments there")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="omnimask-wheel-"))
    data = options.data.resolve() if options.data else place / "data"
    wheel = build(place / "dist")
    print(f"{wheel.name} in {place}\n\n{'extra':12} {'what':16} {'seconds':>8}")
    failed = False
    for name in options.extras.split(","):
        extra = "" if name == "none" else name
        started = time.perf_counter()
        install(wheel, extra, place / f"env-{name}", options.python)
        print(f"{name:12} {'install':16} {time.perf_counter() - started:8.1f}", flush=True)
        for tried in try_extra(extra, place / f"env-{name}", place / f"work-{name}", data):
            end = f"  FAILED {tried.problem}" if tried.problem else ""
            print(f"{name:12} {tried.step:16} {tried.seconds:8.1f}{end}", flush=True)
            failed = failed or bool(tried.problem)
        if not options.keep:
            shutil.rmtree(place / f"env-{name}")
    if not options.keep:
        shutil.rmtree(place)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
