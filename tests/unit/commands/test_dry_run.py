"""`--dry-run`: a few lines for people, or the whole recipe for programs."""

import json

import pytest

from omnimask.commands.main import main
from omnimask.foundation.records import load
from omnimask.training.fitting import fit
from tests.unit.toy_recipe import toy_recipe

COMMAND = ["pretrain", "tests.unit.toy_recipe:toy_recipe"]


def test_a_dry_run_is_a_table_that_fits_a_screen(capsys: pytest.CaptureFixture[str]):
    assert main([*COMMAND, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    streams = [stream.name for stream in toy_recipe().data.streams]
    assert [line.split()[0] for line in lines] == [
        *("One", "stream", *streams, "parameters", "FLOPs", "memory")
    ]


def test_json_is_the_recipe_with_its_statistics_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
):
    assert main([*COMMAND, "--dry-run", "--json"]) == 0
    assert load(json.loads(capsys.readouterr().out), "standard output") == fit(toy_recipe())


def test_json_alone_does_not_train(capsys: pytest.CaptureFixture[str]):
    assert main([*COMMAND, "--json"]) == 2
    assert "--dry-run --json" in capsys.readouterr().err
