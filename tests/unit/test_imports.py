"""Who may import whom, read from the source; and what `import omnimask` costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import omnimask

ROOT = Path(__file__).resolve().parents[2]
OURS = ("omnimask", "modalities", "recipes", "tests", "tools")


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def ours(path: Path) -> set[str]:
    return {name for name in imported_modules(path) if name.split(".")[0] in OURS}


@pytest.mark.parametrize("path", sources("omnimask"), ids=lambda p: p.name)
def test_the_core_imports_nothing_of_ours(path: Path):
    assert {name.split(".")[0] for name in ours(path)} <= {"omnimask"}


@pytest.mark.parametrize("path", sources("modalities"), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_modality_imports_the_core_and_itself(path: Path):
    own = ".".join(path.relative_to(ROOT).parts[:2])
    strangers = {
        name for name in ours(path) if name.split(".")[0] != "omnimask" and not name.startswith(own)
    }
    assert not strangers


@pytest.mark.parametrize("path", sources("recipes"), ids=lambda p: p.name)
def test_a_recipe_imports_neither_tests_nor_tools(path: Path):
    assert {name.split(".")[0] for name in ours(path)} <= {"omnimask", "modalities", "recipes"}


def test_accelerate_stays_in_the_training_files():
    users = {p.name for p in sources("omnimask") if "accelerate" in imported_modules(p)}
    assert users == {"loop.py", "metrics.py", "run_folder.py", "progress.py", "in_training.py"}


def test_no_public_name_is_that_of_a_module():
    """Importing the module would put it in the function's place."""
    modules = {path.stem for path in (ROOT / "omnimask").iterdir()}
    assert not modules & set(omnimask.__all__)


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return result.stdout


HEAVY = "timm accelerate decord torchcodec torchaudio torchvision open3d pandas matplotlib sklearn"


def test_importing_omnimask_brings_nothing_heavy():
    loaded = run_python("import sys, omnimask; print(' '.join(sys.modules))").split()
    assert not set(HEAVY.split()) & set(loaded)


def test_importing_omnimask_takes_under_a_second_beyond_torch():
    timed = "import time, torch; t = time.perf_counter(); import omnimask; "
    seconds = min(float(run_python(timed + "print(time.perf_counter() - t)")) for _ in range(3))
    assert seconds < 1.0
