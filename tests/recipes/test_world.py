"""The main job of `make pretrain` on a world of a few scenes."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from omnimask.commands.pretrain import train
from omnimask.data.label_tables import label_columns
from omnimask.data.streams import StreamReader
from omnimask.recipe.recipe import Recipe
from omnimask.report.write import write_report
from omnimask.sample_data.world.generate import generate
from omnimask.sample_data.world.layout import SENSES
from omnimask.sample_data.world.seen import CLASS_FACTORS, SEEN
from recipes.small import debug_size
from recipes.world import quickstart
from tests.once import once


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    def make(root: Path) -> None:
        generate(root, scenes=45, seed=0, processes=0)

    small = debug_size(quickstart())
    root = once(tmp_path_factory, "small world", make)
    return replace(small, data=replace(small.data, root=str(root)))


def test_every_sample_of_every_sense_has_all_factors_of_its_scene(recipe: Recipe):
    for stream in recipe.data.streams:
        for files in (stream.files, stream.held_out):
            assert files is not None
            reader = StreamReader(stream, files, recipe)
            found = label_columns(reader, range(len(reader)))
            assert set(found) == set(SEEN[stream.name])
            assert found["family"] == [reader.label(i) for i in range(len(reader))]
            for labels in found.values():
                assert None not in labels


def test_the_report_says_what_is_known_of_each_factor(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("omnimask.transfer.searching.across.FEWEST_PAIRS", 5)
    monkeypatch.setattr("omnimask.report.across.QUERIES", 1)
    monkeypatch.setattr("omnimask.report.across.FOUND", 1)
    run = tmp_path / "run"
    train(recipe, run)
    page = write_report(run)
    results = json.loads((page.parent / "results.json").read_text())
    assert [part["stream"] for part in results["linear"]] == list(SENSES)
    for part in results["linear"]:
        asked = {score["column"] for score in part["scores"]} | part["left_out"].keys()
        assert asked == set(SEEN[part["stream"]])
        for score in part["scores"]:
            kind = "accuracy" if score["column"] in CLASS_FACTORS else "R²"
            assert score["measure"] == kind
    losses = {part["objective"] for part in results["held_out_losses"]}
    assert {"image_pixels", "voxels_count"} <= losses
    ways = {(way["query"], way["answer"]): way for way in results["across"]}
    assert set(ways) == set(permutations(SENSES, 2))
    for way in ways.values():
        assert way["num_test"] == 6, "two thirds of nine held-out files are paired"
        assert set(way["recall"]) == {"trained", "untrained", "raw"}
    text = page.read_text()
    assert "Found across streams" in text
    assert 'href="#across"' in text
