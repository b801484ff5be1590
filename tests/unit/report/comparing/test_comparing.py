"""Two toy runs on one page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.commands.pretrain import pretrain
from omnimask.foundation.errors import RecipeError
from omnimask.masking import RandomMask
from omnimask.recipe.recipe import Recipe
from omnimask.report.comparing.curves import panel_keys
from omnimask.report.comparing.differences import differing_fields
from omnimask.report.comparing.runs import ComparedRun, Score, read_runs
from omnimask.report.comparing.tables import all_scores, score_tables
from tests.unit.toy_recipe import toy_recipe


def short(ratio: float, **run: object) -> Recipe:
    recipe = toy_recipe()
    optim = replace(recipe.optim, steps=2, warmup_steps=1)
    run = replace(recipe.run, checkpoint_every=2, **run)  # pyright: ignore[reportArgumentType] fields of Run
    return replace(recipe, masker=RandomMask(ratio=ratio), optim=optim, run=run)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The first with a report and probes of its own."""
    folder = tmp_path_factory.mktemp("compared")
    pretrain(short(0.5, report=True, report_samples=1), folder / "half")
    pretrain(short(0.75), folder / "more")
    scores = [{"stream": "toy", "probe": "linear", "layer": -1, "value": 0.5, "low": 0.4}]
    probes = {"scores": [{**scores[0], "high": 0.6}]}
    (folder / "probe-half").mkdir()
    (folder / "probe-half" / "probe.json").write_text(json.dumps(probes))
    return [folder / "half", folder / "more"]


def test_a_run_has_the_numbers_of_its_report_and_probes(runs: list[Path]):
    half, more = read_runs(runs)
    assert (half.name, more.name) == ("half", "more")
    losses = {(s.stream, s.what) for s in half.scores if s.what.startswith("loss ")}
    assert ("both", "loss other_content") in losses
    probed = Score(stream="toy", what="probe linear, layer -1", value=0.5, low=0.4, high=0.6)
    assert probed in half.scores
    assert more.scores == ()
    assert [s.what for s in all_scores(more)] == ["training loss, last"]
    assert all_scores(more)[0].value == more.lines[-1]["loss"]


def test_only_fields_that_differ_are_listed_by_the_path_that_set_takes(runs: list[Path]):
    found = dict(differing_fields([run.recipe for run in read_runs(runs)]))
    assert found == {
        "masker.ratio": ["0.5", "0.75"],
        "run.report": ["True", "False"],
        "run.report_samples": ["1", "4"],
    }
    recipes = [{"masker": {"record": "a:One", "ratio": 1}}, {"masker": {"record": "a:Two"}}]
    assert differing_fields(recipes) == [
        ("masker", ["a:One", "a:Two"]),
        ("masker.ratio", ["1", "–"]),
    ]


def test_the_page_has_curves_fields_scores_and_pictures(runs: list[Path], tmp_path: Path):
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, runs), "--out", str(page), "--trust", "tests"]) == 0
    html = page.read_text()
    for text in ("masker.ratio", "probe linear, layer -1", "image/svg+xml", "image/png"):
        assert text in html
    assert panel_keys(read_runs(runs))[:3] == ["loss", "loss/toy_content", "loss/other_content"]


def test_runs_of_a_group_are_averaged():
    def run(seed: int, loss: float) -> ComparedRun:
        return ComparedRun(
            name=f"seed={seed}",
            group="all seeds",
            folder=Path(f"runs/{seed}"),
            recipe={},
            lines=({"step": 1, "loss": loss},),
            scores=(),
        )

    html = score_tables([run(0, 1.0), run(1, 2.0), run(2, 3.0)])
    assert '<span class="strong">2</span><span class="small"> ± 1 of 3</span>' in html


def test_wrong_folders_are_named(runs: list[Path], tmp_path: Path):
    with pytest.raises(RecipeError, match="is no run folder"):
        read_runs([tmp_path])
    with pytest.raises(RecipeError, match="named twice"):
        read_runs([runs[0], runs[0]])
