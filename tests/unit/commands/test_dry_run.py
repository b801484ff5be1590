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


def forecast_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main([*COMMAND, "--dry-run", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line for line in lines}


def test_a_forecast_shares_the_batch_and_says_what_it_assumes(capsys: pytest.CaptureFixture[str]):
    one = forecast_of(capsys, "--devices", "1")
    four = forecast_of(capsys, "--devices", "4", "--device", "a100", "--fsdp")
    assert "assuming 40% of 989 TFLOP/s" in one["On"]
    assert "1 x 12 samples on each device" in one["batch"]
    assert "1 x 3 samples on each device" in four["batch"]
    assert "On 4 a100 (FSDP2)" in four["On"]
    assert one["binds"].split(maxsplit=1)[1] == "reading samples"


def test_a_forecast_refuses_what_training_would(capsys: pytest.CaptureFixture[str]):
    assert main([*COMMAND, "--dry-run", "--devices", "3"]) == 2
    assert "3 processes cannot share" in capsys.readouterr().err
    assert main([*COMMAND, "--dry-run", "--devices", "2", "--device", "h2000"]) == 2
    assert "did you mean h200" in capsys.readouterr().err
    assert main([*COMMAND, "--devices", "2"]) == 2
    assert "--dry-run --devices" in capsys.readouterr().err
