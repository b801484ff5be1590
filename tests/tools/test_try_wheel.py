"""What a wheel would hold; `tools/try_wheel.py` installs it, which takes too long for here."""

import tomllib
from pathlib import Path

from setuptools import find_packages

from modalities import PART_OF
from tools.try_wheel import BESIDE, EXTRA_OF, steps_of

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("omnimask", "modalities", "recipes")


def test_every_file_of_the_packages_is_in_the_wheel():
    """setuptools takes the .py files of folders with __init__.py, and data that it is told of."""
    include = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    found = set(find_packages(str(ROOT), include=include))
    files = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md")  # README.md is for readers
    ]
    told = PROJECT["tool"]["setuptools"]["package-data"]
    data = {
        path.relative_to(ROOT)
        for package in told
        for glob in told[package]
        for path in (ROOT / package).glob(glob)
    }
    assert Path("recipes/launch/slurm.sh") in data
    files = [path for path in files if path not in data]
    assert [str(path) for path in files if path.suffix != ".py"] == []
    assert {".".join(path.parent.parts) for path in files} == found


def test_every_modality_is_tried_with_the_extra_that_brings_it(tmp_path: Path):
    extras = PROJECT["project"]["optional-dependencies"]
    assert PROJECT["project"]["name"] == PART_OF
    assert set(EXTRA_OF.values()) <= set(extras)
    assert set(EXTRA_OF.values()) == {
        path.parent.name for path in (ROOT / "modalities").glob("*/__init__.py")
    }
    for modality, extra in EXTRA_OF.items():
        tried = {step.name: step for step in steps_of(extra, tmp_path)}
        assert tried[modality].status == 0
        assert f"recipes.mae:cpu:{modality} " in tried[modality].command


def test_every_other_extra_is_tried_and_named_where_it_is_missing(tmp_path: Path):
    extras = PROJECT["project"]["optional-dependencies"]
    together = {"all", "docs", "dev", "sample-data"}
    assert set(extras) == together | set(EXTRA_OF.values()) | set(BESIDE)
    said = {step.name: step.says for step in steps_of("", tmp_path)}
    assert said["no demo"] == "uv pip install 'omnimask[demo]'"
    for extra, (package, _) in BESIDE.items():
        assert any(package in requirement for requirement in extras[extra])
        assert package in [step.name for step in steps_of(extra, tmp_path)]
