"""The gallery: small pictures, a table with a row for each, and a page that is otherwise kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnimask.foundation.errors import RecipeError
from omnimask.recipe.recipe import Recipe
from recipes import capi, mae, remasker
from tools.make_gallery import (
    FAMILIES,
    MOST_BYTES,
    draw_method,
    family,
    insert,
    main,
    picture_path,
    small_webp,
    table,
    train_small,
)
from tools.methods import methods, modalities_of, small_recipe_of, teacher_of, teachers_first

PAGE = "# A title\n\n<!-- gallery -->\nold\n<!-- /gallery -->\n\nThe end.\n"


def on(sample_data: Path, recipe: Recipe) -> Recipe:
    return replace(recipe, data=replace(recipe.data, root=str(sample_data)))


def test_every_method_is_found_with_its_modalities_and_its_teacher():
    found = methods()
    assert found["mae"] == "recipes.mae:cpu"
    assert found["beit-tokenizer"] == "recipes.beit:tokenizer_cpu"
    assert "omni" not in found
    assert modalities_of("beit-tokenizer") == modalities_of("beit")
    assert teacher_of(small_recipe_of("beit2")) == "vqkd"
    assert teacher_of(small_recipe_of("mae")) is None
    assert teachers_first(["beit2", "mae"]) == ["mae", "vqkd", "beit2"]
    assert teachers_first(["beit"]) == ["beit-tokenizer", "beit"]


def test_every_method_has_a_family_and_none_is_empty():
    families = [family(small_recipe_of(name)) for name in methods()]
    assert set(families) == set(FAMILIES)
    assert family(small_recipe_of("hpm")) == FAMILIES[0]  # its teacher gives hints alone
    assert family(small_recipe_of("data2vec2")) == FAMILIES[2]
    assert family(small_recipe_of("beit-tokenizer")) == FAMILIES[0]


@pytest.mark.parametrize("module", [mae, capi, remasker])
def test_a_method_is_trained_once_and_drawn_small(module, sample_data: Path, tmp_path: Path):
    name, recipe = module.__name__.removeprefix("recipes."), on(sample_data, module.debug())
    run = train_small(name, recipe, tmp_path / "runs", steps=2)
    trained = (run / "cost.json").stat().st_mtime_ns
    assert train_small(name, recipe, tmp_path / "runs", steps=2) == run
    assert (run / "cost.json").stat().st_mtime_ns == trained
    path = draw_method(name, run, tmp_path / "docs" / "methods")
    assert path.stat().st_size <= MOST_BYTES
    with Image.open(path) as image:
        assert image.format == "WEBP"
        assert 500 < image.width <= 900
        assert np.asarray(image).std() > 10


def test_the_table_lists_what_is_drawn_by_family_and_says_what_is_not(tmp_path: Path):
    out, page = tmp_path / "docs" / "methods", tmp_path / "docs" / "methods.md"
    out.mkdir(parents=True)
    for name in ("first", "second"):
        picture_path(out, name).write_bytes(b"")
    for name in ("first_masks.png", "older_masks.png", "older_reconstructions.png"):
        (out / name).write_bytes(b"")
    families = {"first": FAMILIES[2], "second": FAMILIES[0], "third": FAMILIES[0]}
    families |= {"older": FAMILIES[2]}
    text = table(out, page, families)
    assert text.index(f"### {FAMILIES[0]}") < text.index("`second`") < text.index("`first`")
    assert "](methods/first.webp) |" in text
    assert "first_masks" not in text
    assert "](methods/older_masks.png) ![older: reconstructions]" in text
    assert text.endswith("Not drawn yet: `third`.")
    assert FAMILIES[1] not in text


def test_noise_is_made_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert len(small_webp(Image.fromarray(noise), most_bytes=20_000)) <= 20_000
    with pytest.raises(RecipeError, match="draw fewer samples"):
        small_webp(Image.fromarray(noise), most_bytes=100)


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
