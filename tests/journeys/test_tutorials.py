"""The tutorials as a reader has them: every block of every page, in order, in one empty folder.

Commands are those of the page, with a budget of two steps added to them. What is not run is in
`NOT_RUN` with its reason, and is parsed by tests/tools/test_docs.py as every command is.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from omnimask.commands.main import _parser
from tests.journeys.commands import omnimask, python

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)

STEPS = "--set optim.steps=2 --set optim.warmup_steps=1 --set run.num_workers=0"
QUICK = f"{STEPS} --set run.report=False --set run.tracker=none"
BUDGET = {
    "pretrain": QUICK,
    "finetune": f"{QUICK} --set validation.every=1",
    "sweep": f"{QUICK} --seeds 1",
    "inspect": "--most 20",
}
NOT_RUN = {
    "omnimask sample-data": "the session has made them, a tenth as many",
    "omnimask sweep recipes.mae:cpu --search": "tests/unit/commands/test_sweep.py runs searches",
    "uv pip install": "tests/unit/templates/test_write.py installs both packages from their wheels",
    "python -m pytest": "tests/unit/templates/test_write.py runs their tests",
}
SLURM = "#!/bin/bash"


def blocks_of(page: Path) -> list[tuple[str, str, str]]:
    """Language, the file that the block is (or ""), and the text."""
    return BLOCK.findall(page.read_text())


def run_line(line: str, folder: Path) -> None:
    if any(line.startswith(start) for start in NOT_RUN):
        return
    program, *arguments = shlex.split(line)
    if program == "torchrun":
        command = [*arguments, *BUDGET["pretrain"].split()]
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return
    assert program == "omnimask", line
    status, said = omnimask(*arguments, *BUDGET.get(arguments[0], "").split(), folder=folder)
    assert status == 0, f"{line}\n{said}"


def check_slurm_script(text: str) -> None:
    """Its shell is one, and what it starts takes those arguments; no Slurm is here to run it."""
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    from torch.distributed.run import parse_args

    (start,) = re.findall(r"^srun torchrun (.*)", text.replace("\\\n", " "), re.M)
    said = start.replace("$SLURM_NNODES", "2")
    parsed = parse_args(shlex.split(re.sub(r"\$\([^)]*\)", "node-1", said)))
    assert (parsed.training_script, parsed.rdzv_endpoint) == ("omnimask", "node-1:29500")
    _parser().parse_args(parsed.training_script_args)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, few_files: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sample").symlink_to(few_files)
    for language, file, text in blocks_of(page):
        if file:
            (tmp_path / file).write_text(text)
        elif language == "python":
            status, said = python(text, folder=tmp_path)
            assert status == 0, f"{text}\n{said}"
        elif text.startswith(SLURM):
            check_slurm_script(text)
        elif language == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                run_line(line, tmp_path)
        else:
            assert language == "toml", "a kind of block that nobody runs"


def test_every_page_is_run_and_what_is_left_out_stands_there():
    lines = [
        line
        for page in PAGES
        for language, file, text in blocks_of(page)
        if language == "sh" and not file and not text.startswith(SLURM)
        for line in text.replace("\\\n", " ").splitlines()
    ]
    assert len(PAGES) == 7
    assert [start for start in NOT_RUN if not any(x.startswith(start) for x in lines)] == []
    ran = [line for line in lines if not any(line.startswith(start) for start in NOT_RUN)]
    assert len(ran) > 20
