"""`omnimask doctor`: what works on this machine, what is missing, and the command that mends it."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from omnimask.foundation.hardware import gpu_names, processor_name
from omnimask.foundation.isolated import Answer, run_isolated
from omnimask.foundation.packages import OURS, package_folder, what_is_wrong
from omnimask.foundation.trust import plugin_modules
from omnimask.foundation.versions import installed_version
from omnimask.network.blocks import PLAIN_BELOW
from omnimask.recipe.loading import load_named_recipe

# Not required by any extra, since the package index has no wheel of it.
_ALSO_SHOWN = ("pytorch3d",)

# A word in the error of an import, and what installs the shared library that it misses.
_SYSTEM_FIXES = {
    ("libusb", "libGL", "libEGL", "libX11"): (
        "apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6"
    ),
    ("libgomp",): "apt-get install libgomp1",
    ("libsndfile",): "apt-get install libsndfile1",
    ("libav", "FFmpeg", "ffmpeg"): "apt-get install ffmpeg",
}
_LITTLE_SHARED_MEMORY = 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A distribution that omnimask uses. `extra` is "" for what is always needed; `wanted` is the
    version range; `problem` says what is wrong, "" if nothing, and `fix` is the command against it.
    """

    name: str
    extra: str
    wanted: str
    version: str | None
    problem: str
    fix: str


def diagnose(recipes: Sequence[str] = ()) -> str:
    """A text of a few screens; takes some seconds, since it imports every package to see if it
    works, in another process. Of `recipes`, named as `omnimask pretrain` takes them, it says who
    reads the files of modalities that are not our own.
    """
    others = modules_of_others(recipes)
    found = packages()
    own = {name: what_is_wrong(name) for name in OURS}
    absent = [p for p in found if p.problem and p.extra and p.version is None]
    broken = [p for p in found if p.problem and p not in absent]
    problems = [f"{name}: {text}" for name, text in own.items() if text]
    problems += [f"{p.name}: {p.problem}\n      {p.fix}" for p in broken]
    problems += _machine_problems()
    sections = {
        "machine": machine_lines(),
        "attention": attention_lines(),
        "packages": _package_lines(found),
        "who reads what": ["modalities: see below"] if own["modalities"] else reader_lines(others),
        "not installed, needed only for what stands in brackets": [
            f"{p.name} [{p.extra}]: {p.fix}" for p in absent
        ],
        "to mend": [f"- {problem}" for problem in problems] or ["nothing"],
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)])
        for title, lines in sections.items()
        if lines
    )


def machine_lines() -> list[str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = ", ".join(gpu_names()) or "none"
    return [
        f"system   {platform.system()} {platform.release()}, {platform.machine()}",
        f"python   {platform.python_version()}",
        f"cpu      {processor_name()}, {cores} cores for this process, "
        f"{torch.get_num_threads()} threads in torch",
        f"gpu      {gpus} (torch {torch.__version__}, CUDA {torch.version.cuda or 'none'})",
    ]


def attention_lines() -> list[str]:
    """Which attention runs on which device; omnimask/network/blocks.py decides so."""
    capability = torch.backends.cpu.get_cpu_capability()
    short = "plain softmax" if capability == "AVX512" else "as in fp32"
    lines = [
        "CPU, fp32   dense blocks per group, torch's scaled_dot_product_attention",
        f"CPU, bf16   rows below {PLAIN_BELOW} tokens: {short} ({capability}); longer: as in fp32",
    ]
    if not torch.cuda.is_available():
        return [*lines, "CUDA        no device"]
    dense = "CUDA        dense blocks per group, torch's scaled_dot_product_attention"
    if find_spec("torch.nn.attention.varlen") is None:
        return [*lines, dense, f"            varlen: torch {torch.__version__} does not have it"]
    if torch.cuda.get_device_capability()[0] < 8:
        return [*lines, dense, "            varlen: needs compute capability 8.0 or later"]
    return [*lines, dense, "            varlen: available, in bf16, as attention path 'varlen'"]


def packages() -> list[Package]:
    """What omnimask's own metadata requires, the always needed first, then extra by extra."""
    if installed_version("omnimask") is None:
        return [
            Package(
                name="omnimask",
                extra="",
                wanted="",
                version=None,
                problem="runs from a folder, but is not installed",
                fix="uv pip install -e '.[all]'   (in the checkout)",
            )
        ]
    requirements = [Requirement(line) for line in importlib.metadata.requires("omnimask") or []]
    wanted = [(r, extra) for r in requirements for extra in _extras(r)]
    wanted += [(Requirement(name), "optional") for name in _ALSO_SHOWN]
    modules = _import_names()
    works = run_isolated(
        {
            requirement.name: f"import {modules[canonicalize_name(requirement.name)]}"
            for requirement, _ in wanted
            if canonicalize_name(requirement.name) in modules
        }
    )
    return [_package(requirement, extra, works) for requirement, extra in wanted]


def _extras(requirement: Requirement) -> list[str]:
    """The extras that ask for it on this machine; [""] if it is always needed."""
    if canonicalize_name(requirement.name) == "omnimask":
        return []  # an extra made of other extras
    if requirement.marker is None:
        return [""]
    every = importlib.metadata.metadata("omnimask").get_all("Provides-Extra") or []
    if requirement.marker.evaluate({"extra": ""}):
        return [""]
    return [e for e in every if e != "dev" and requirement.marker.evaluate({"extra": e})]


def _import_names() -> dict[str, str]:
    """By installed distribution, the name under which it is imported (pillow: PIL)."""
    names: dict[str, str] = {}
    for module, owners in importlib.metadata.packages_distributions().items():
        for owner in map(canonicalize_name, owners):
            # torch also brings torchgen and functorch; the module of its own name stands for it.
            if not module.startswith("_") and (owner not in names or module == owner):
                names[owner] = module
    return names


def _package(requirement: Requirement, extra: str, works: dict[str, Answer]) -> Package:
    version = installed_version(requirement.name)
    problem = fix = ""
    install = f"uv pip install 'omnimask[{extra}]'" if extra else "uv pip install omnimask"
    answer = works.get(requirement.name)
    if extra == "optional" and version is None:
        pass
    elif version is None:
        problem, fix = "is not installed", install
    elif not requirement.specifier.contains(version, prereleases=True):
        problem = f"version {version} is installed, {requirement.specifier} is needed"
        fix = f"uv pip install '{requirement.name}{requirement.specifier}'"
    elif answer is not None and answer.error is not None:
        problem = f"is installed, but cannot be imported ({answer.error})"
        fix = system_fix(answer.error) or f"uv pip install --force-reinstall {requirement.name}"
    return Package(
        name=requirement.name,
        extra=extra,
        wanted=str(requirement.specifier),
        version=version,
        problem=problem,
        fix=fix,
    )


def system_fix(error: str) -> str:
    """The command that installs the system library an import error names, "" if it names none."""
    for words, command in _SYSTEM_FIXES.items():
        if any(word in error for word in words):
            return command
    return ""


def _package_lines(found: list[Package]) -> list[str]:
    lines = []
    for package in found:
        state = "missing" if package.version is None else package.version
        note = "" if not package.problem or package.version is None else "  ! see below"
        group = f"[{package.extra}]" if package.extra else ""
        lines.append(f"{package.name:16} {state:12} {package.wanted:16} {group}{note}".rstrip())
    return lines


def modules_of_others(recipes: Sequence[str]) -> list[str]:
    """The modules that define the recipes' modalities, ours left out."""
    modules = [
        type(modality).__module__
        for name in recipes
        for modality in load_named_recipe(name).modalities
    ]
    return [name for name in dict.fromkeys(modules) if not name.startswith("modalities.")]


def reader_lines(others: Sequence[str] = ()) -> list[str]:
    """Per modality and format, the library that reads it here, or why nothing does.

    Every folder of `modalities` offers `available_readers() -> dict[str, str]`, and so does each
    module of `others`; installed plug-ins may, in the module that their entry point names.
    """
    folder = package_folder("modalities")
    assert folder is not None, "asked only where `modalities` is ours"
    ours = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    asked = {f"modalities.{name}": "available_readers_in" for name in ours}
    asked |= dict.fromkeys(plugin_modules(), "find_available_readers")
    asked |= dict.fromkeys(others, "available_readers_in")
    answers = run_isolated(
        {
            module: f"import sys; sys.path[:] = {sys.path!r}\n"  # a user's own working folder too
            f"from omnimask.transfer.modality_hooks import {function}\n"
            f"result = {function}({module!r})"
            for module, function in asked.items()
        }
    )
    lines = []
    for module, answer in answers.items():
        name = module.removeprefix("modalities.")
        if answer.error is None and answer.result is None:
            continue  # a plug-in without a modality
        lines.append(name)
        if answer.error is not None:
            lines.append(f"  ! {answer.error}")
            continue
        formats: dict[str, list[str]] = {}
        for what, reader in answer.result.items():
            formats.setdefault(reader, []).append(what)
        lines += [f"  {' '.join(what)}: {reader}" for reader, what in formats.items()]
    return lines


def _machine_problems() -> list[str]:
    shared = Path("/dev/shm")
    if not shared.exists():
        return []
    free = shutil.disk_usage(shared).free
    if free >= _LITTLE_SHARED_MEMORY:
        return []
    return [
        f"/dev/shm has only {free >> 20} MiB free, and loader workers hand batches over through it;"
        " start the container with --shm-size=8g, or set run.num_workers=0"
    ]
