"""The recipes that come along, read from their source without importing it.

A recipe is a public function of `recipes/*.py` that returns a `Recipe`. Its docstring has a fixed
form: the first line says what it is; then, after an optional text, lines that begin with
`Modalities:`, `Paper:` and `Status:`, each of which may go on over several lines.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.packages import check_our_packages, package_folder

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
    return "\n\n".join(_block(entry) for entry in find_recipes())


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
    return [entry for path in sorted(folder.glob("*.py")) for entry in _recipes_in(path)]


def _recipes_in(path: Path) -> list[RecipeEntry]:
    return [
        _read(node, path)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _is_recipe(node)
    ]


def _is_recipe(function: ast.FunctionDef) -> bool:
    arguments = function.args
    required = len(arguments.args) - len(arguments.defaults)
    if required or None in arguments.kw_defaults:
        return False
    return function.returns is not None and ast.unparse(function.returns).strip("'\"") == "Recipe"


def _read(function: ast.FunctionDef, path: Path) -> RecipeEntry:
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
        reference=f"recipes.{path.stem}:{function.name}",
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
