"""The recipes that come along, and those of plug-ins, read from their source, not imported.

A recipe is a public function of `recipes/*.py` that returns a `Recipe`. Its docstring has a fixed
form: the first line says what it is; then, after an optional text, lines that begin with
`Modalities:`, `Paper:` and `Status:`, each of which may go on over several lines.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.packages import check_our_packages, package_folder
from omnimask.foundation.trust import plugin_packages

FIELDS = ("Modalities", "Paper", "Status")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeEntry:
    """One line of the catalogue; `reference` is what `omnimask pretrain` takes."""

    reference: str
    summary: str
    modalities: str
    paper: str
    status: str


def list_recipes() -> str:
    """All recipes with modalities, paper, status and command; RecipeError for a faulty docstring.

    A block of lines for each, so that addresses and commands stay whole and can be copied.
    """
    return "\n\n".join(_block(entry) for entry in (*find_recipes(), *find_plugin_recipes()))


def _block(entry: RecipeEntry) -> str:
    rows = {
        "Modalities": entry.modalities,
        "Paper": entry.paper,
        "Status": entry.status,
        "Command": f"omnimask pretrain {entry.reference}",
    }
    lines = [f"    {name:11} {text}" for name, text in rows.items()]
    return "\n".join([entry.reference, f"    {entry.summary}", *lines])


def find_recipes(folder: Path | None = None) -> list[RecipeEntry]:
    """The recipes of `folder` (our `recipes` package by default), by file and in their order."""
    if folder is None:
        check_our_packages()
        folder = package_folder("recipes")
        assert folder is not None, "check_our_packages found it"
    return list(_recipes_below(folder, "recipes"))


def find_plugin_recipes() -> list[RecipeEntry]:
    """Those of installed plug-ins, package by package."""
    folders = {name: package_folder(name) for name in plugin_packages()}
    return [
        entry
        for name, folder in folders.items()
        if folder is not None
        for entry in _recipes_below(folder, name)
    ]


def _recipes_below(folder: Path, package: str) -> Iterator[RecipeEntry]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        yield from _recipes_in(path, ".".join((package, *parts)))


def _recipes_in(path: Path, module: str) -> list[RecipeEntry]:
    return [
        _read(node, path, module)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _is_recipe(node)
    ]


def _is_recipe(function: ast.FunctionDef) -> bool:
    arguments = function.args
    required = len(arguments.args) - len(arguments.defaults)
    if required or None in arguments.kw_defaults:
        return False
    return function.returns is not None and ast.unparse(function.returns).strip("'\"") == "Recipe"


def _read(function: ast.FunctionDef, path: Path, module: str) -> RecipeEntry:
    docstring = ast.get_docstring(function) or ""
    summary, *rest = docstring.splitlines() or [""]
    fields = read_fields(rest)
    missing = [name for name in FIELDS if not fields.get(name)]
    if missing or not summary:
        lacking = " and ".join(f"{name}: ..." for name in missing) or "a first line"
        raise RecipeError(
            f"{path}, line {function.lineno}: the docstring of {function.name} lacks {lacking}; "
            f"a recipe's docstring says what it is, then {', '.join(f'{f}: ...' for f in FIELDS)}"
        )
    return RecipeEntry(
        reference=f"{module}:{function.name}",
        summary=summary,
        modalities=fields["Modalities"],
        paper=fields["Paper"],
        status=fields["Status"],
    )


def read_fields(lines: list[str]) -> dict[str, str]:
    """The texts of `Name: text` lines; a field goes on until the next one or an empty line."""
    fields: dict[str, str] = {}
    current = None
    for line in lines:
        name, colon, text = line.partition(":")
        if colon and name in FIELDS:
            current, fields[name] = name, text.strip()
        elif not line.strip():
            current = None
        elif current is not None:
            fields[current] = f"{fields[current]} {line.strip()}".strip()
    return fields
