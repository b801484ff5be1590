"""Who may import whom, read from the source; and what `import omnimask` brings along."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
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
USES_ACCELERATE = {
    *("loop.py", "optimisation.py", "metrics.py", "run_folder.py", "progress.py"),
    "in_training.py",
}
# The packages of the core; each imports only those before it, and itself.
ROOMS = (
    *("foundation", "tokens", "masking", "network", "objectives", "decoders"),
    *(
        "recipe",
        "data",
        "training",
        "transfer",
        "testing",
        "report",
        "inspection",
        "sample_data",
        "templates",
        "commands",
    ),
)
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
    image, name = Path("modalities/image/modality.py"), "modalities.image_labels"
    assert not is_allowed(image, name), "a folder whose name begins alike is another"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(package: str) -> dict[str, set[str]]:
    """By module of a package, those of it that it names in an import, inside functions too."""
    files = {module_name(path): path for path in (ROOT / package).rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        named = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        graph[module] = {name for name in named if name in files} - {module}
        # "from package import module" names the module, not the package around it.
        graph[module] -= {name.rpartition(".")[0] for name in graph[module]}
    return graph


def test_the_rooms_of_the_core_stand_in_order_and_nothing_goes_round():
    beside = {path.name for path in (ROOT / "omnimask").iterdir() if path.name != "__pycache__"}
    assert beside == {*ROOMS, "__init__.py", "__main__.py"}
    core = import_graph("omnimask")
    backwards = [
        f"{importer} -> {name}"
        for importer, names in core.items()
        for name in names
        if importer not in ("omnimask", "omnimask.__main__")
        and ROOMS.index(name.split(".")[1]) > ROOMS.index(importer.split(".")[1])
    ]
    assert backwards == []
    # The lazy names of `omnimask` itself lead everywhere; nothing in the core imports them.
    assert not any("omnimask" in names for names in core.values())
    for graph in (core, import_graph("modalities"), import_graph("recipes")):
        TopologicalSorter(graph).prepare()  # CycleError names the circle


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
