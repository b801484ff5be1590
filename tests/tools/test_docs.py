"""The pages: commands that they show are ones that there are, and the site is whole."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from omnimask.commands.main import _parser
from omnimask.recipe.catalogue import find_recipes
from tools.docs_pages import (
    PACKAGES,
    made_pages,
    method_pages,
    pictures_of,
    with_titles,
    without_outer_links,
)

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
COMMAND = re.compile(r"^(?:.*-m )?(omnimask [^#\n]+)", re.M)
IN_TABLE = re.compile(r"^\| `(?:.*-m )?(omnimask [^`]+)`", re.M)
PLACEHOLDERS = ("[", "|", "…", "...")


def commands_of(page: Path) -> list[str]:
    """Those in blocks and at the beginning of a table's row; lines with gaps are none."""
    text = page.read_text().replace("\\\n", " ")
    found = [line for block in BLOCK.findall(text) for line in COMMAND.findall(block)]
    found += IN_TABLE.findall(text)
    return [line.strip() for line in found if not any(word in line for word in PLACEHOLDERS)]


def parses(line: str) -> bool:
    try:
        _parser().parse_args(shlex.split(line)[1:])
    except SystemExit:
        return False
    return True


def test_every_command_that_a_page_shows_is_one(capsys: pytest.CaptureFixture[str]):
    lines = {f"{page.relative_to(ROOT)}: {line}" for page in PAGES for line in commands_of(page)}
    assert len(lines) > 60
    assert [line for line in sorted(lines) if not parses(line.partition(": ")[2])] == []
    assert not parses("omnimask pretrain recipes.mae:cpu --no-such-option 3")


def test_every_recipe_and_public_module_has_a_page():
    pages = method_pages()
    for entry in find_recipes():
        module, function = entry.reference.removeprefix("recipes.").split(":")
        assert f"## {module}:{function}\n" in pages[f"methods/{module}.md"]
    reference = "".join(made_pages()[f"reference/{package}.md"] for package in PACKAGES)
    assert "::: omnimask.masking.random\n" in reference


def test_links_out_of_the_pages_become_text_and_others_stay():
    page = "transfer/probe.md"
    for link in ("[a](../methods.md)", "[b](https://x.org)", "[c](#d)", "[e](gone.md)"):
        assert without_outer_links(link, page) == link, "a broken link is left for MkDocs to find"
    assert without_outer_links("[`f`](../../omnimask/f.py)", page) == "`f`"


def test_a_block_that_is_a_file_is_a_block_on_the_site():
    assert with_titles("```python a/b.py\nx\n```\n") == '```python title="a/b.py"\nx\n```\n'
    for same in ("```sh\nx\n```\n", '```python title="b.py"\n', "a ```b c``` d\n"):
        assert with_titles(same) == same


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "methods" / "mae.html").read_text()
    (picture, *_) = pictures_of(ROOT / "docs" / "methods", "mae")
    assert picture.name in html
    for page in ("contributing", "tutorials/mixing"):
        assert "```" not in (tmp_path / f"{page}.html").read_text(), "a block that is none"
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', html)
    assert fetched == []
