"""A whole report of a toy run, and what each of its parts says."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omnimask.commands.pretrain import train
from omnimask.data.samples import spread
from omnimask.data.streams import open_held_out, open_streams
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.foundation.json_lines import read_lines
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import LabelTable
from omnimask.report.curves import loss_curves, run_curves, thin_out
from omnimask.report.history import drop_repeated, trained_seconds
from omnimask.report.html import Html, element, joined, table
from omnimask.report.write import write_report
from tests.unit.toy import Toy, ToyFiles, ToySource
from tests.unit.toy_recipe import streams, toy_recipe, with_teacher
from tests.unit.training.test_teacher_network import consistent, guided


@dataclass(frozen=True, kw_only=True, slots=True)
class OddFiles(ToyFiles):
    """Names that are HTML, labels of which every second is a number."""

    def open(self, root: str, modality: Toy) -> "OddSource":
        return OddSource(self, modality)


class OddSource(ToySource):
    __slots__ = ()

    def name(self, index: int) -> str:
        return f"<script>alert({index})</script>&.toy"

    def label(self, index: int) -> str | float | None:
        return f"class-{index % 4}" if index % 2 else index / 10


@dataclass(frozen=True, kw_only=True, slots=True)
class NoLabels(ToyFiles):
    def open(self, root: str, modality: Toy) -> "NoLabelSource":
        return NoLabelSource(self, modality)


class NoLabelSource(ToySource):
    __slots__ = ()

    def label(self, index: int) -> None:
        return None


def report_of(recipe: Recipe, run: Path) -> tuple[str, dict]:
    train(replace(recipe, run=replace(recipe.run, report_samples=2)), run)
    page = write_report(run)
    assert page == run / "report" / "index.html"
    return page.read_text(), json.loads((page.parent / "results.json").read_text())


@pytest.mark.parametrize("make", [guided, consistent])
def test_late_targets_have_held_out_losses_and_no_constant(make, tmp_path: Path):
    _, results = report_of(make(), tmp_path / "run")
    losses = {entry["objective"]: entry for entry in results["held_out_losses"]}
    late = next(entry for name, entry in losses.items() if name.endswith(("_hard", "_agree")))
    assert late["tokens"] > 0
    assert late["model"] > 0
    assert late["constant"] is None
    assert "the model's own predictions" in late["note"]
    assert losses["toy_content"]["constant"] is not None


def with_streams(recipe: Recipe, *changed: int, **fields) -> Recipe:
    """The recipe with fields of some of its streams replaced."""
    new = tuple(
        replace(stream, **fields) if number in changed else stream
        for number, stream in enumerate(recipe.data.streams)
    )
    return replace(recipe, data=replace(recipe.data, streams=new))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict, Path]:
    run = tmp_path_factory.mktemp("report") / "run"
    page, results = report_of(toy_recipe(), run)
    return page, results, run


def test_every_loss_stands_beside_that_of_the_best_constant(made):
    _, results, _ = made
    rows = {(row["stream"], row["objective"]): row for row in results["held_out_losses"]}
    assert set(rows) == {
        ("toy", "toy_content"),
        ("other", "other_content"),
        ("both", "toy_content"),
        ("both", "other_content"),
    }
    row = rows["toy", "toy_content"]
    assert row["samples"] == 12
    assert row["tokens"] == 10 * 4 + 2 * 2  # two of the twelve have half of their tokens
    # A sinusoid's mean square is a half, and its mean is zero.
    assert row["constant"] == pytest.approx(0.5, abs=0.1)
    assert row["model"] > 0


def test_the_probe_compares_trained_untrained_and_raw(made):
    _, results, _ = made
    scores = {row["stream"]: row for row in results["knn"]}
    assert set(scores) == {"toy", "other", "both"}
    score = scores["toy"]
    assert score["measure"] == "accuracy"
    assert score["num_classes"] == 3
    assert score["chance"] == pytest.approx(1 / 3)
    assert len(score["untrained"]) == 3
    assert score["trained"]["k"] == 10
    assert score["trained"]["num_train"] == 24


def test_a_table_says_what_a_linear_probe_is_asked_for(tmp_path: Path):
    recipe = replace(toy_recipe(), data=replace(toy_recipe().data, root=str(tmp_path)))
    asked = LabelTable(table="labels.csv", classes=("half",), numbers=("number",))
    recipe = with_streams(recipe, 0, labels=asked)
    readers = [*open_streams(recipe), *open_held_out(recipe)]
    rows = [
        {"name": reader.name(i), "half": "ab"[i % 2], "number": i}
        for reader in readers
        if reader.stream.name == "toy"
        for i in range(len(reader))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    page, results = report_of(recipe, tmp_path / "run")
    toy, other, both = results["linear"]
    assert (toy["stream"], other["stream"], both["stream"]) == ("toy", "other", "both")
    columns = {row["column"]: row for row in toy["scores"]}
    measures = {name: row["measure"] for name, row in columns.items()}
    assert measures == {"half": "accuracy", "number": "R²"}
    assert [row["column"] for row in other["scores"]] == ["label"]
    assert (toy["num_train"], toy["num_test"]) == (24, 12)
    assert set(toy["skill"]) == {"trained", "untrained", "raw"}
    assert set(toy["ahead"]) == {"untrained", "raw"}
    value = toy["ahead"]["untrained"]["value"]
    assert f"{value:+.3f}" in page
    assert "toy, label by label" in page
    for name in columns:
        assert f">{name}</td>" in page


def test_the_page_shows_the_numbers_and_pictures(made):
    page, results, _ = made
    for stream in ("toy", "other", "both"):
        assert stream in page
    assert "8 predicted" not in page
    assert page.count("<figure>") == 2 * 2 * (1 + 1 + 2)  # reconstructed, and its tokens
    assert "4 shown" in page  # the drawing's own HTML
    assert results["steps"] == 8
    assert "plotly" not in page


def test_the_page_needs_no_network(made):
    page, _, _ = made
    for reference in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert reference.startswith(("data:", "#"))
    assert "@import" not in page
    assert "url(" not in page


def test_the_overview_picture_is_a_png(made):
    _, _, run = made
    data = (run / "report" / "reconstructions.png").read_bytes()
    assert data.startswith(b"\x89PNG")


def test_a_small_run_says_why_it_has_no_map(made):
    page, _, _ = made
    assert "No map: it takes 50 held-out samples or more, this run has 36." in page


def test_a_larger_run_has_a_map_of_streams_with_and_without_labels(tmp_path: Path):
    silent, held = NoLabels(), NoLabels(path="held_out", num_samples=30)
    recipe = with_streams(toy_recipe(), 0, files={"toy": silent}, held_out={"toy": held})
    page, _ = report_of(recipe, tmp_path / "run")
    shown = page.split('id="map"', 1)[1]
    assert shown.count("Plotly.newPlot") == 2
    assert "54 held-out samples" in shown
    for kind in ("toy", "other", "toy + other"):
        assert f'"name": "{kind}"' in shown


def test_a_second_report_has_the_same_numbers(made, monkeypatch: pytest.MonkeyPatch):
    _, results, run = made
    again = json.loads((write_report(run).parent / "results.json").read_text())
    assert again == results


def test_names_of_files_are_escaped_and_mixed_labels_are_scored_apart(tmp_path: Path):
    files, held_out = OddFiles(), OddFiles(path="held_out", num_samples=12)
    recipe = with_streams(toy_recipe(), 0, files={"toy": files}, held_out={"toy": held_out})
    page, results = report_of(recipe, tmp_path / "run")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(0)" in page
    found = [(row["measure"], row["trained"]["num_test"]) for row in results["knn"]]
    assert found[:2] == [("accuracy", 6), ("R²", 6)]


def test_latent_targets_have_a_loss_but_no_constant_and_no_picture(tmp_path: Path):
    page, results = report_of(with_teacher(), tmp_path / "run")
    (latent, *_) = (x for x in results["held_out_losses"] if x["objective"] == "toy_features")
    assert latent["constant"] is None
    assert "teacher" in latent["note"]
    assert "toy_features predicts features of a teacher" in page


def test_streams_without_labels_or_held_out_files_are_left_out_with_a_note(tmp_path: Path):
    recipe = with_streams(toy_recipe(), 1, held_out=None)
    silent, held = NoLabels(), NoLabels(path="held_out", num_samples=6)
    recipe = with_streams(recipe, 0, files={"toy": silent}, held_out={"toy": held})
    page, results = report_of(recipe, tmp_path / "run")
    assert [row["stream"] for row in results["knn"]] == ["both"]
    assert results["left_out"] == [
        "toy: no labels, so nothing to ask its features.",
        "other: the recipe names no held-out files.",
    ]
    assert {row["stream"] for row in results["held_out_losses"]} == {"toy", "both"}
    assert "Training samples: the recipe names no held-out files" in page


def test_held_out_files_that_cannot_be_read_are_named(tmp_path: Path):
    bad = ToyFiles(path="held_out", num_samples=12, bad=(0, 5))
    recipe = with_streams(toy_recipe(), 0, held_out={"toy": bad})
    page, results = report_of(recipe, tmp_path / "run")
    assert set(results["unreadable"]) == {
        "class-0/held_out-000.toy",
        "class-2/held_out-005.toy",
    }
    assert "Left out of this report" in page
    assert results["held_out_losses"][0]["samples"] == 10


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match="has no checkpoint"):
        write_report(tmp_path)


def test_only_the_lines_that_count_after_a_restart_are_kept():
    steps = [10, 20, 30, 40, 20, 25]
    lines = [{"step": step, "seconds_per_step": 2.0} for step in steps]
    kept = drop_repeated(lines)
    assert [line["step"] for line in kept] == [10, 20, 25]
    assert kept[1:] == lines[4:]
    assert kept[1] is lines[4]
    assert trained_seconds(kept) == 50.0


def test_a_broken_line_is_named(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st\n')
    with pytest.raises(DataError, match=r"metrics.jsonl, line 2"):
        read_lines(path)
    assert read_lines(tmp_path / "absent.jsonl") == []


def test_samples_are_spread_over_a_sorted_folder():
    assert spread(100, 4) == [0, 25, 50, 75]
    assert spread(3, 10) == [0, 1, 2]


def test_thinned_curves_keep_their_mean():
    values = np.arange(1000, dtype=float)
    assert thin_out(values, 100).mean() == pytest.approx(values.mean())
    assert len(thin_out(values, 100)) == 100
    assert thin_out(values[:5], 100) is not None


def test_curves_are_drawn_for_lines_that_lack_a_value():
    lines = [
        {"step": 1, "lr": 0.1, "grad_norm": 1.0, "tokens_per_s": 5.0, "data_wait": 0.0},
        {"step": 2, "lr": 0.1, "grad_norm": 1.0, "tokens_per_s": 5.0, "data_wait": 0.0}
        | {"loss/a": 2.0},
    ]
    for svg in (loss_curves(lines, {"a": "a", "b": "b"}, {"a": (1.0, None)}), run_curves(lines)):
        assert b"</svg>" in svg


def test_text_is_escaped_and_html_is_not():
    inner = element("b", "1 < 2", attributes={"title": 'a "quote"'})
    assert inner == '<b title="a &quot;quote&quot;">1 &lt; 2</b>'
    assert joined(inner, "&") == inner + "&amp;"
    assert "&lt;i&gt;" in table(["<i>"], [[Html("<b></b>")]])
    assert "<b></b>" in table(["<i>"], [[Html("<b></b>")]])


def test_streams_of_the_toy_recipe_all_have_held_out_files():
    assert all(stream.held_out is not None for stream in streams())
