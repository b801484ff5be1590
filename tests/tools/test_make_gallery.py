"""The gallery: small pictures, a table with a row for each, and a page that is otherwise kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnimask.commands.pretrain import train
from omnimask.foundation.errors import RecipeError
from omnimask.masking import ShowAll
from omnimask.recipe.recipe import Recipe
from recipes import mae
from tools.make_gallery import (
    MOST_BYTES,
    draw_method,
    find_run,
    insert,
    main,
    methods,
    picture_path,
    small_png,
    table,
)

PAGE = "# A title\n\n<!-- gallery -->\nold\n<!-- /gallery -->\n\nThe end.\n"


def small(sample_data: Path) -> Recipe:
    recipe = mae.debug()
    return replace(recipe, data=replace(recipe.data, root=str(sample_data)))


def test_every_method_with_a_cpu_recipe_is_found():
    found = methods()
    assert found["mae"] == "recipes.mae:cpu"
    assert "omni" not in found
    assert not any(":" in method for method in found)


def test_pictures_of_masks_and_of_a_run_stand_in_the_table(sample_data: Path, tmp_path: Path):
    recipe, out, runs = small(sample_data), tmp_path / "docs" / "methods", tmp_path / "runs"
    train(recipe, runs / "image" / "first" / "seed-0")
    draw_method("first", recipe, out, runs=runs)
    draw_method("second", recipe, out, runs=runs)
    for path in out.iterdir():
        assert path.stat().st_size <= MOST_BYTES
        with Image.open(path) as image:
            assert 500 < image.width <= 700
    page = tmp_path / "docs" / "methods.md"
    lines = table(out, page, ["first", "nothing", "second"]).splitlines()
    assert lines == [
        "| method | masks | reconstructions |",
        "|---|---|---|",
        "| `first` | ![masks of first](methods/first_masks.png) "
        "| ![reconstructions of first](methods/first_reconstructions.png) |",
        "| `second` | ![masks of second](methods/second_masks.png) |  |",
    ]


def test_a_masker_that_hides_nothing_has_no_picture(sample_data: Path, tmp_path: Path):
    draw_method("all", replace(small(sample_data), masker=ShowAll()), tmp_path)
    assert not picture_path(tmp_path, "all", "masks").exists()


def test_a_run_is_found_under_either_name(sample_data: Path, tmp_path: Path):
    recipe = small(sample_data)
    assert find_run(tmp_path, "mae", recipe) is None
    for run in (tmp_path / "image" / "mae" / "seed-0", tmp_path / recipe.name):
        (run / "checkpoints" / "step-00000004").mkdir(parents=True)
        assert find_run(tmp_path, "mae", recipe) == run


def test_noise_is_made_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert len(small_png(Image.fromarray(noise))) <= MOST_BYTES


def test_the_page_keeps_what_stands_around_its_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for body in ("first", "second"):
        insert(page, body)
    expected = "# A title\n\n<!-- gallery -->\n\nsecond\n\n<!-- /gallery -->\n\nThe end.\n"
    assert page.read_text() == expected
    page.write_text("# A title\n")
    with pytest.raises(RecipeError, match="<!-- gallery -->"):
        insert(page, "third")


def test_an_unknown_method_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path), "--methods", "maee"]) == 1
    assert "did you mean mae" in capsys.readouterr().err
