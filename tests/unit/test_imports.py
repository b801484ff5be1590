"""Who may import whom, read from the source; and what `import omnimask` brings along."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import omnimask

ROOT = Path(__file__).resolve().parents[2]
# Of our own top-level packages; a modality may import the core and itself.
MAY_IMPORT = {
    "omnimask": {"omnimask"},
    "modalities": {"omnimask"},
    "recipes": {"omnimask", "modalities", "recipes"},
}
OURS = (*MAY_IMPORT, "tests", "tools")
USES_ACCELERATE = {"pretraining.py", "trainer.py", "metrics.py", "run_folder.py"}
HEAVY = "timm accelerate decord torchcodec torchaudio torchvision open3d pandas matplotlib sklearn"


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def is_allowed(importer: Path, name: str) -> bool:
    """Whether a file, relative to the root, may import a module."""
    first = name.partition(".")[0]
    if first == "accelerate" and importer.parts[0] == "omnimask":
        return importer.name in USES_ACCELERATE
    if first == "modalities" and importer.parts[0] == "modalities":
        return f"{name}.".startswith(".".join(importer.with_suffix("").parts[:2]) + ".")
    return first != "" and (first not in OURS or first in MAY_IMPORT[importer.parts[0]])


def test_imports_run_one_way():
    """Nothing is relative, the core knows no one, and only the training files know Accelerate."""
    files = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    pairs = [(path.relative_to(ROOT), name) for path in files for name in imports(path)]
    assert [f"{path}: {name}" for path, name in pairs if not is_allowed(path, name)] == []
    assert {path.name for path, name in pairs if name == "accelerate"} == USES_ACCELERATE
    image, name = Path("modalities/image/tokens.py"), "modalities.image_labels"
    assert not is_allowed(image, name), "a folder whose name begins alike is another"


def test_no_public_name_is_that_of_a_module():
    """Importing the module would put it in the function's place."""
    modules = {path.stem for path in (ROOT / "omnimask").iterdir()}
    assert not modules & set(omnimask.__all__)


def loaded_after(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_omnimask_brings_nothing_heavy():
    bare = loaded_after("import omnimask")
    assert "torch" not in bare, "it comes with the first name that is used"
    assert {name for name in bare if name.startswith("omnimask.")} == set()
    used = loaded_after("from omnimask import Encoder, Objective, RandomMask, Recipe, Teacher")
    assert not set(HEAVY.split()) & used
