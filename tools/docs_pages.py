"""Pages of the site that are made, not written; a hook of MkDocs (mkdocs.yml).

The start, contributing, security and change pages are the files at the top of the repository; each
method has a page from the docstrings of its recipes with its pictures, each public package one from
its docstrings. Links from pages to files outside of docs/ become plain text, as a site has no such
files; a link that leads nowhere stops the build (`strict`).
"""

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOP = {"index": "README", "contributing": "CONTRIBUTING", "security": "SECURITY"} | {
    "changelog": "CHANGELOG"
}
# Packages with what recipes are made of; the others are for those who change omnimask.
PACKAGES = ("tokens", "masking", "network", "objectives", "decoders", "recipe", "testing")


def method_pages() -> dict[str, str]:
    """By path below docs/: a page for each file of recipes/ that says what its recipes are."""
    pages = {}
    for path in sorted((ROOT / "recipes").glob("*.py")):
        tree = ast.parse(path.read_text())
        recipes = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and node.returns is not None
            and ast.unparse(node.returns).strip("'\"") == "Recipe"
            and "Status:" in (ast.get_docstring(node) or "")
        ]
        if recipes:
            pages[f"methods/{path.stem}.md"] = _method_page(path.stem, tree, recipes)
    return pages


def pictures_of(folder: Path, method: str) -> list[Path]:
    """The method's picture, or those that an older tool drew of its masks and reconstructions."""
    names = (f"{method}.webp", f"{method}_masks.png", f"{method}_reconstructions.png")
    there = [folder / name for name in names if (folder / name).is_file()]
    return there[:1] if there and there[0].suffix == ".webp" else there


def _method_page(name: str, tree: ast.Module, recipes: list[ast.FunctionDef]) -> str:
    title, _, about = (ast.get_docstring(tree) or "").partition("\n")
    method, colon, sentence = title.rstrip(".").partition(": ")
    first = f"{sentence[:1].upper()}{sentence[1:]}." if colon else ""
    parts = [f"# {method}", first, _markdown(about)]
    folder = ROOT / "docs" / "methods"
    of_parts = [path.stem for path in sorted(folder.glob(f"{name}-*.webp"))]  # `beit-tokenizer`
    for method in (name, *of_parts):
        for path in pictures_of(folder, method):
            alt = PICTURED if path.suffix == ".webp" else path.stem.replace("_", ": ")
            parts.append(f"![{alt.format(method)}]({path.name})")
    for node in recipes:
        first, _, rest = (ast.get_docstring(node) or "").partition("\n")
        parts += [f"## {name}:{node.name}", first, _markdown(rest)]
        parts.append(f"```sh\nomnimask pretrain recipes.{name}:{node.name}\n```")
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def _markdown(docstring: str) -> str:
    """Fields on lines of their own, addresses as links."""
    lines = [
        f"**{field}:**{text}<br>" if text and field in FIELDS else line
        for line in docstring.strip().splitlines()
        for field, _, text in [line.partition(":")]
    ]
    return re.sub(r"(?<![(<])https?://[^\s,;)]+[^\s,;).]", r"<\g<0>>", "\n".join(lines))


PICTURED = "{}: input, mask, reconstruction where there is one, and features of two samples"
FIELDS = ("Modalities", "Paper", "Status", "Cost", "Command", "Result")


def reference_pages() -> dict[str, str]:
    """By path below docs/: a page for each of `PACKAGES`, and one for each modality."""
    pages = {"reference/omnimask.md": _names_page()}
    for package in PACKAGES:
        modules = sorted((ROOT / "omnimask" / package).glob("[!_]*.py"))
        names = [f"omnimask.{package}.{path.stem}" for path in modules]
        pages[f"reference/{package}.md"] = _reference(f"omnimask.{package}", names)
    for folder in sorted((ROOT / "modalities").glob("*/modality.py")):
        name = folder.parent.name
        parts = ("modality", "files", "targets", "losses")
        there = [part for part in parts if (folder.parent / f"{part}.py").is_file()]
        names = [f"modalities.{name}.{part}" for part in there]
        pages[f"reference/{name}.md"] = _reference(f"modalities.{name}", names)
    return pages


def _reference(title: str, modules: list[str]) -> str:
    return f"# {title}\n\n" + "\n\n".join(f"::: {name}" for name in modules) + "\n"


def _names_page() -> str:
    """What `from omnimask import ...` offers, with where each is described."""
    names = ast.parse((ROOT / "omnimask" / "__init__.py").read_text())
    places = next(
        ast.literal_eval(node.value)
        for node in names.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_PLACES"
    )
    rows = "\n".join(f"| `{name}` | `omnimask.{places[name]}` |" for name in sorted(places))
    return f"# omnimask\n\n`from omnimask import` offers\n\n| name | module |\n|---|---|\n{rows}\n"


def made_pages() -> dict[str, str]:
    """All of them, by path below docs/."""
    top = {
        f"{page}.md": _at_the_top((ROOT / f"{name}.md").read_text()) for page, name in TOP.items()
    }
    return {**top, **method_pages(), **reference_pages()}


def _at_the_top(text: str) -> str:
    """A file at the top of the repository as a page in docs/."""
    text = re.sub(r"\]\(docs/", "](", text)
    for page, name in TOP.items():
        text = text.replace(f"]({name}.md)", f"]({page}.md)")
    return text


def without_outer_links(text: str, page: str) -> str:
    """Links to files that are not below docs/ as their text alone."""
    here = (ROOT / "docs" / page).parent

    def replaced(found: re.Match[str]) -> str:
        target = found.group(2).partition("#")[0]
        if not target or re.match(r"[a-z]+:", target):
            return found.group(0)
        outside = not (here / target).resolve().is_relative_to(ROOT / "docs")
        # A page from the top of the repository links to what lies beside it there.
        beside = page.removesuffix(".md") in TOP and (ROOT / target).exists()
        return found.group(1) if outside or beside else found.group(0)

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", replaced, text)


def with_titles(text: str) -> str:
    """Blocks that are files ("```python my_mix.py") as superfences has them, for which a block with
    any other word behind its language is none.
    """
    return re.sub(r"^```(\w+) ([^\s=]+)$", r'```\1 title="\2"', text, flags=re.M)


# What MkDocs calls.


def on_config(config: Any) -> Any:
    for entry in config["nav"]:
        for title, prefix in (("Methods", "methods/"), ("Reference", "reference/")):
            if title in entry:
                made = sorted(name for name in made_pages() if name.startswith(prefix))
                first = ["methods.md"] if title == "Methods" else []
                entry[title] = [*first, *made]
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return with_titles(without_outer_links(markdown, page.file.src_uri))
