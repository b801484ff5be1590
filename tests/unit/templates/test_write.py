"""`omnimask new`: a package that is installed, known everywhere, and passes its own tests."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from omnimask.commands.main import main
from omnimask.foundation.errors import RecipeError
from omnimask.templates.write import write_template

ROOT = Path(__file__).resolve().parents[3]
BUILD = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
# What is asked of a process that has the plug-ins, in one, since it takes seconds to start.
ASK = """
import sys
from omnimask.commands.main import main
from omnimask.foundation.trust import plugin_modules, trusted_packages
from omnimask.transfer.modality_hooks import available_readers_in, find_available_readers
assert main(["recipes"]) == 0
print("TRUSTED", *trusted_packages())
print("READS", *(n for n in plugin_modules() if find_available_readers(n)))
print(available_readers_in("omnimask_radar.modality"))
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests"]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both plug-ins as wheels unpack them, and their tests."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind, name in (("modality", "radar"), ("method", "far_away")):
        place = folder / f"source-{name}"
        assert main(["new", kind, name, "--out", str(place)]) == 0
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-c", BUILD]
        (place / "dist").mkdir()
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
        (wheel,) = (place / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as file:
            file.extractall(folder / "site")
        for test in (place / "tests").iterdir():
            (folder / "tests").mkdir(exist_ok=True)
            (folder / "tests" / test.name).write_text(test.read_text())
    return folder


def test_installed_plug_ins_are_known_and_pass_their_tests(installed: Path):
    path = os.pathsep.join([str(installed / "site"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for text in (
        "omnimask_radar.recipes:mine",
        "Command     omnimask pretrain omnimask_far_away.recipes:cpu",
        "TRUSTED omnimask modalities recipes omnimask_far_away omnimask_radar",
        "READS omnimask_radar.modality",
        "{'.radar': 'numpy",
        "3 passed",
    ):
        assert text in done.stdout, f"{text}\n{done.stdout[-3000:]}"


def test_nothing_of_the_example_is_left_in_names(tmp_path: Path):
    for kind in ("modality", "method"):
        for path in write_template(kind, "lidar_4d", tmp_path / kind):
            text = path.read_text()
            assert "xample" not in text.replace("for example", ""), path
            assert "templates" not in text, path
    assert (
        "class Lidar4dTokens" in (tmp_path / "modality/omnimask_lidar_4d/modality.py").read_text()
    )


@pytest.mark.parametrize("name", ["Radar", "4d", "a-b", "a/b", ""])
def test_names_are_names_of_modules(name: str, tmp_path: Path):
    with pytest.raises(RecipeError, match="is named like radar"):
        write_template("method", name, tmp_path / "new")


def test_nothing_is_written_over(tmp_path: Path):
    with pytest.raises(RecipeError, match="is there already"):
        write_template("method", "radar", tmp_path)
