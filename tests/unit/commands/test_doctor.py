"""What the doctor says of packages that work, are missing, too old, or broken."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from omnimask.commands import diagnosis as doctor
from omnimask.commands.diagnosis import Package, diagnose, system_fix
from omnimask.foundation import packages
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.isolated import Answer, run_isolated
from omnimask.foundation.packages import check_our_packages, is_ours, what_is_wrong

FINE = Answer(result=None, error=None)


def package_of(requirement: str, extra: str, answer: Answer = FINE) -> Package:
    wanted = Requirement(requirement)
    return doctor._package(wanted, extra, {wanted.name: answer})


def test_a_snippet_that_fails_or_kills_its_process_does_not_hide_the_others():
    answers = run_isolated(
        {
            "fine": "print('noise'); result = {'a': [1]}",
            "broken": "raise OSError('libGL.so.1:\\n  not found')",
            "deadly": "import os; os._exit(7)",
            "after": "result = 'here'",
        }
    )
    assert answers["fine"] == Answer(result={"a": [1]}, error=None)
    assert answers["broken"].error == "OSError: libGL.so.1: not found"
    assert answers["deadly"].error == "the process died (exit status 7)"
    assert answers["after"].result == "here"


def test_a_package_that_works_has_no_problem():
    package = package_of("torch>=2.0", "")
    assert (package.problem, package.fix) == ("", "")
    assert package.version is not None


def test_a_missing_package_is_installed_by_its_extra():
    package = package_of("no-such-package", "video")
    assert package.version is None
    assert package.fix == "uv pip install 'omnimask[video]'"


def test_a_version_out_of_range_is_named_with_both():
    package = package_of("torch<2.0", "")
    assert "<2.0 is needed" in package.problem
    assert package.fix == "uv pip install 'torch<2.0'"


def test_a_missing_system_library_is_installed_by_the_system():
    broken = Answer(result=None, error="OSError: libusb-1.0.so.0: cannot open shared object file")
    package = package_of("numpy", "points", broken)
    assert "cannot be imported" in package.problem
    assert package.fix == "apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6"
    assert system_fix("ValueError: something else") == ""


def test_requirements_come_from_our_own_metadata():
    """What pyproject.toml says for `video` and `audio`; torchcodec stands in both."""
    wanted = [
        (requirement.name, extra)
        for line in doctor.importlib.metadata.requires("omnimask") or []
        for requirement in [Requirement(line)]
        for extra in doctor._extras(requirement)
    ]
    assert ("torch", "") in wanted
    assert ("torchcodec", "video") in wanted
    assert ("torchcodec", "audio") in wanted
    assert not [name for name, extra in wanted if extra == "dev" or name == "omnimask"]


def test_a_distribution_is_imported_by_the_name_of_its_module():
    names = doctor._import_names()
    assert names["torch"] == "torch"
    assert names["scikit-learn"] == "sklearn"


def test_the_diagnosis_names_machine_packages_readers_and_attention(
    monkeypatch: pytest.MonkeyPatch,
):
    # Importing everything takes many seconds; here only what the answers become is tested.
    def answers(snippets: dict[str, str]) -> dict[str, Answer]:
        return {
            name: Answer(result={".x": "lib 1", ".y": "lib 1"}, error=None)
            if "available_readers" in code
            else FINE
            for name, code in snippets.items()
        }

    monkeypatch.setattr(doctor, "run_isolated", answers)
    text = diagnose()
    for heading in ("machine", "attention", "packages", "who reads what", "to mend"):
        assert f"{heading}\n" in text
    assert "CPU, fp32" in text
    assert ".x .y: lib 1" in text


@pytest.mark.slow
def test_every_modality_says_what_reads_it_a_users_own_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "waves_of_a_user.py").write_text(
        "def available_readers():\n    return {'.wave': 'numpy'}\n"
    )
    (tmp_path / "silent_of_a_user.py").touch()
    (tmp_path / "masks_installed.py").touch()
    (tmp_path / "sonar_installed.py").write_text(
        "def available_readers():\n    return {'.sonar': 'numpy'}\n"
    )
    monkeypatch.setattr(doctor, "plugin_modules", lambda: ("masks_installed", "sonar_installed"))
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = doctor.reader_lines(["waves_of_a_user", "silent_of_a_user"])
    assert len(lines) > 12
    assert lines[-6:-4] == ["sonar_installed", "  .sonar: numpy"]
    assert "masks_installed" not in lines  # a plug-in without a modality
    assert lines[-4:-1] == ["waves_of_a_user", "  .wave: numpy", "silent_of_a_user"]
    assert "write a function available_readers()" in lines[-1]
    assert [line for line in lines if "!" in line] == lines[-1:]


def test_the_doctor_looks_at_modalities_of_others_in_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "recipe_of_a_user.py").write_text(
        "from dataclasses import dataclass, replace\n"
        "import recipes.mae\n"
        "from modalities.image import ImagePatches\n"
        "class OwnPatches(ImagePatches):\n"
        "    pass\n"
        "def mine():\n"
        "    recipe = recipes.mae.debug()\n"
        "    (image,) = recipe.modalities\n"
        "    fields = {name: getattr(image, name) for name in image.__dataclass_fields__}\n"
        "    return replace(recipe, modalities=(OwnPatches(**fields),))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor.modules_of_others(["recipe_of_a_user:mine", "recipes.mae:debug"]) == [
        "recipe_of_a_user"
    ]


def test_our_own_packages_are_ours():
    check_our_packages()
    assert what_is_wrong("modalities") == ""


def test_anothers_package_of_the_same_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "recipes_of_another"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Soups."""\nimport a_kitchen\nPART_OF = "a book"\n')
    assert not is_ours(folder)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(packages, "OURS", ("recipes_of_another",))
    with pytest.raises(RecipeError, match=r"not part of omnimask.*uninstall recipes_of_another"):
        check_our_packages()


def test_a_folder_without_init_is_not_ours_and_a_missing_package_is_said(tmp_path: Path):
    assert not is_ours(tmp_path)
    assert "is missing" in what_is_wrong("no_such_package_at_all")
