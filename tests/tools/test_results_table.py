"""A table says where its results were measured, not where it was written."""

from pathlib import Path

from omnimask.foundation.versions import versions
from tools.results_table import measured, where_measured, write_between

HERE = {"hardware": {"cpu": "one", "threads": "1"}, "versions": {"torch": "2.1"}}
THERE = {"hardware": {"cpu": "other", "threads": "8"}, "versions": {"torch": "2.1"}}


def test_one_machine_is_named_once():
    assert where_measured([HERE, HERE]) == "Measured on cpu one, threads 1; torch 2.1."


def test_several_machines_are_all_named_and_so_are_results_without_one():
    said = where_measured([HERE, THERE, THERE, {"rmse": 0.1}])
    assert said == (
        "Measured in several places: 2 results on cpu other, threads 8; torch 2.1. "
        "1 results on cpu one, threads 1; torch 2.1. "
        "1 results on a machine that they do not name."
    )


def test_what_a_result_stores_goes_into_the_page(tmp_path: Path):
    stored = measured("no-such-package")
    assert stored["versions"] == {**versions(), "no-such-package": "not installed"}
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- results -->old<!-- /results -->\nb\n")
    write_between(page, "| table |\n", [THERE])
    assert page.read_text() == (
        "a\n<!-- results -->\n\nMeasured on cpu other, threads 8; torch 2.1.\n\n| table |\n\n"
        "<!-- /results -->\nb\n"
    )
