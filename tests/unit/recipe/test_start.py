"""Starts as the command line says them."""

import json
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.foundation.errors import RecipeError
from omnimask.recipe.start import Start, read_starts
from tests.unit.toy_recipe import TOYS
from tests.unit.transfer.test_warm_start import encoder_folder


def test_a_folder_gives_all_and_names_only_their_tokenizers() -> None:
    assert read_starts(["runs/vit"]) == (Start(encoder="runs/vit"),)
    assert read_starts(["image, audio=runs/a=b"]) == (
        Start(encoder="runs/a=b", modalities=("image", "audio")),
    )
    assert read_starts(["runs/lr=0.1/vit"]) == (Start(encoder="runs/lr=0.1/vit"),)


def test_blocks_come_from_the_first() -> None:
    starts = read_starts(["image=a", "audio=b", "c"])
    assert [start.blocks for start in starts] == [True, False, False]


@pytest.mark.parametrize("text", ["", "=runs/vit", "image,=runs/vit", "image="])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"runs/vit"):
        read_starts([text])


def test_the_command_stands_in_place_of_the_recipes_start_and_can_be_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (encoder_folder(tmp_path / toy.name, toy) for toy in TOYS)
    command = ["pretrain", "tests.unit.toy_recipe:toy_recipe", "--dry-run", "--json"]
    names = [toy.name for toy in TOYS]
    starts = ["--start", f"{names[0]}={first}", "--start", f"{names[1]}={second}"]
    assert main([*command, *starts, "--set", "start.0.blocks=False"]) == 0
    recipe = json.loads(capsys.readouterr().out)
    said = ("encoder", "modalities", "blocks", "which")
    assert [tuple(start[field] for field in said) for start in recipe["start"]] == [
        (first, [names[0]], False, "student"),
        (second, [names[1]], False, "student"),
    ]


def test_an_unknown_name_and_a_folder_that_is_not_there_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretrain", "tests.unit.toy_recipe:toy_recipe", "--dry-run", "--start"]
    assert main([*command, f"toys={tmp_path}"]) == 2
    assert "'toys'" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "gone")]) == 2
    assert "start.0" in capsys.readouterr().err
