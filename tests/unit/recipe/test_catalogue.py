"""The catalogue of recipes: every one has the lines that it is made from."""

from pathlib import Path

import pytest

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.catalogue import find_recipes, list_recipes, read_fields

GOOD = '''
import a_package_that_does_not_exist

def first() -> Recipe:
    """What it is.

    Some text: with a colon.

    Modalities: image, audio
    Paper: a long title
      (https://example.org)
    Status: runs

    More.
    """

def helper(x) -> int:
    """No recipe."""

def _private() -> Recipe: ...
'''


def test_every_recipe_that_comes_along_has_its_lines():
    entries = find_recipes()
    assert {"recipes.omni:quickstart", "recipes.omni:debug", "recipes.omni:omni"} <= {
        entry.reference for entry in entries
    }


def test_the_list_has_every_recipe_with_its_command():
    text = list_recipes()
    for entry in find_recipes():
        assert entry.summary in text
        assert entry.paper in text
        assert f"omnimask pretrain {entry.reference}\n" in text + "\n"


def test_a_recipe_is_read_without_importing_it(tmp_path: Path):
    (tmp_path / "good.py").write_text(GOOD)
    (entry,) = find_recipes(tmp_path)
    assert entry.reference == "recipes.good:first"
    assert entry.summary == "What it is."
    assert entry.modalities == "image, audio"
    assert entry.paper == "a long title (https://example.org)"
    assert entry.status == "runs"


@pytest.mark.parametrize("line", ["Modalities", "Paper", "Status"])
def test_a_missing_line_is_named(tmp_path: Path, line: str):
    (tmp_path / "bad.py").write_text(GOOD.replace(f"{line}:", "Other:"))
    with pytest.raises(RecipeError, match=rf"bad.py, line 4: .* first lacks {line}: \.\.\."):
        find_recipes(tmp_path)


def test_a_recipe_without_a_docstring_is_named(tmp_path: Path):
    (tmp_path / "bare.py").write_text("def bare() -> Recipe:\n    return 1\n")
    with pytest.raises(RecipeError, match="docstring of bare lacks"):
        find_recipes(tmp_path)


def test_a_field_ends_at_an_empty_line():
    assert read_fields(["Paper: a", "b", "", "c"]) == {"Paper": "a b"}
