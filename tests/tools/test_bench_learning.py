"""The harness of the learning benchmark, at its smoke size on a world of a few scenes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from omnimask.sample_data.world.generate import generate
from omnimask.sample_data.world.layout import SENSES
from omnimask.sample_data.world.seen import SEEN
from recipes.world import masked_autoencoder
from tests.once import once
from tools import bench_learning
from tools.learning_table import read_cells, tables
from tools.results_table import END, START


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cell of sounds alone, made in this process."""

    def make(root: Path) -> None:
        generate(root, scenes=45, seed=0, processes=0)

    root = once(tmp_path_factory, "small world", make)
    out = tmp_path_factory.mktemp("learning")
    smoke = bench_learning.BUDGETS["smoke"]
    line = bench_learning.run_cell("audio", 0, root, out / "smoke", smoke)
    assert "FAILED" not in line, line
    assert "there already" in bench_learning.run_cell("audio", 0, root, out / "smoke", smoke)
    return out


def test_a_cell_has_all_factors_the_curve_and_where_it_was_measured(out: Path):
    result = json.loads((out / "smoke" / "audio" / "seed-0" / "result.json").read_text())
    sounds = result["senses"]["audio"]
    asked = {score["column"] for score in sounds["scores"]} | sounds["left_out"].keys()
    assert asked == set(SEEN["audio"])
    assert set(sounds["skill"]) == {"trained", "untrained", "raw"}
    assert sorted(map(int, sounds["curve"])) == [2, 4]
    assert sounds["curve"]["4"] == sounds["skill"]["trained"]
    assert result["hardware"]["cpu"]


def test_the_page_gets_the_tables_and_the_curves(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = tmp_path / "learning.md"
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    arguments = ["bench_learning", "--out", str(out), "--budget", "smoke", "--page", str(page)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench_learning.main()
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "| audio | 5 |" in text
    assert "| motion | accuracy |" in text
    assert page.with_suffix(".png").stat().st_size > 10_000


def test_mixed_and_specialist_stand_side_by_side(out: Path):
    (alone,) = read_cells(out / "smoke")["audio"]
    better = json.loads(json.dumps(alone))
    better["senses"]["audio"]["skill"]["trained"]["value"] = 0.6
    alone["senses"]["audio"]["skill"]["trained"]["value"] = 0.4
    text = tables({"mixed": [better, better], "audio": [alone]})
    (row,) = [line for line in text.splitlines() if line.startswith("| audio |")]
    assert "| 0.600 ± 0.000 | 0.400 | 1.50 |" in row
    assert not any(f"### {sense}" in text for sense in SENSES if sense != "audio")


def _way(query: str, answer: str, *recalls: float) -> dict[str, Any]:
    spaces = zip(("raw", "untrained", "trained"), recalls, strict=True)
    return {
        "query": query,
        "answer": answer,
        "num_test": 50,
        "recall": {space: {"10": {"value": recall}} for space, recall in spaces},
        "chance": {"10": 0.2},
    }


def test_an_ablation_changes_one_thing_and_has_its_row(out: Path):
    recipe = masked_autoencoder("mixed", SENSES)
    shared = bench_learning.changed("shared-decoder", recipe)
    assert set(shared.decoders) == {"main"}
    assert {o.decoder for o in shared.objectives} == {"main"}
    equal = bench_learning.changed("equal-weights", recipe)
    assert {o.weight for o in equal.objectives} == {1.0} != {o.weight for o in recipe.objectives}
    assert bench_learning.changed("mixed", recipe) == recipe
    (alone,) = read_cells(out / "smoke")["audio"]
    lines = tables({"mixed": [alone], "shared-decoder": [alone]}).splitlines()
    skill = f"{alone['senses']['audio']['skill']['trained']['value']:.3f}"
    assert f"| as the recipe is | {skill} |" in lines
    assert f"| one decoder for all senses | {skill} |" in lines
    assert not any("weighted alike" in line for line in lines)


def test_retrieval_has_a_row_per_query_and_a_column_per_answer(out: Path):
    (alone,) = read_cells(out / "smoke")["audio"]
    assert alone["across"] == []
    ways = [_way("image", "audio", 0.3, 0.4, 0.5), _way("audio", "image", 0.2, 0.25, 0.6)]
    lines = tables({"mixed": [alone | {"across": ways}]}).splitlines()
    assert "| query | image | audio |" in lines
    assert "| image | – | 0.30 / 0.40 / **0.50** |" in lines
    assert "| audio | 0.20 / 0.25 / **0.60** | – |" in lines
