"""The `omnimask` command as a process: what help costs, and what happens when nobody reads on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"torch", "numpy", "scipy", "matplotlib", "sklearn", "accelerate", "timm", "rich"}
COMMANDS = [
    *("pretrain", "report", "finetune", "export", "import", "impute", "embed", "search", "map"),
    *("probe", "doctor", "recipes", "draw masks", "draw reconstructions", "sample-data"),
    *("inspect", "compare", "sweep", "new", "demo"),
]


def run_unread(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`code` in a process whose output is a pipe that its reader has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)


MAIN = "import sys; from omnimask.commands.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("arguments", [("recipes",), ("--help",), ("pretrain", "--help")])
def test_a_command_that_nobody_reads_ends_without_a_word(arguments: tuple[str, ...]):
    done = run_unread(MAIN, *arguments)
    assert done.stderr == ""
    assert done.returncode in {0, 141}  # argparse itself drops help that cannot be written


EVERY_HELP = """
import os, sys
from omnimask.commands.main import main
for command in sys.argv[1:]:
    if (child := os.fork()) == 0:
        status = 1
        try:
            status = main([*command.split(), "--help"])
        except SystemExit as end:
            status = end.code or 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(ended) not in (0, 141):
        print(command, ended, file=sys.stderr)
"""


def test_every_command_ends_without_a_word():
    done = run_unread(EVERY_HELP, *COMMANDS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("new", "method", "far"), ("new", "modality", "radar")])
def test_what_is_written_is_whole_though_nobody_reads(arguments: tuple[str, ...], tmp_path: Path):
    done = run_unread(MAIN, *arguments, "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (141, "")
    assert (tmp_path / "out" / "pyproject.toml").is_file()


def test_a_reader_that_leaves_early_has_what_it_read():
    command = f"{sys.executable} -m omnimask recipes | head -2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    first, second, status = done.stdout.splitlines()
    assert first.startswith("recipes.")
    assert second.startswith("    ")
    assert (status in {"0", "141"}, done.stderr) == (True, "")


def test_another_pipe_that_breaks_is_an_error_as_any_other():
    code = (
        "import omnimask.commands.main as cli\n"
        "def broken(arguments): raise BrokenPipeError('a worker is gone')\n"
        "cli._run = broken\n"
        "cli.main([])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "a worker is gone" in done.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import io, sys\n"
        "from contextlib import redirect_stdout, suppress\n"
        "from omnimask.commands.main import main\n"
        "for command in ['', *sys.argv[1:]]:\n"
        "    with suppress(SystemExit), redirect_stdout(io.StringIO()) as out:\n"
        "        main([*command.split(), '--help'])\n"
        "    assert out.getvalue().startswith(f'usage: omnimask {command}'.rstrip()), command\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMANDS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not HEAVY & set(done.stdout.split())
