"""A modality that is one file, outside of any package: what works without hooks, what a command
says that needs one, and hooks that stand beside the record.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from omnimask.commands.main import main
from omnimask.commands.pretrain import train
from omnimask.foundation import trust
from omnimask.foundation.errors import RecipeError
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Stream
from omnimask.tokens.modality import Visit
from omnimask.transfer.adapting import adapt
from omnimask.transfer.exporting.front import front_of
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.modality_hooks import (
    FILE_READERS,
    IMPUTERS,
    FileReader,
    available_readers_in,
    find_hook,
)
from tests.unit.toy_recipe import toy_recipe

SOURCE = Path(__file__).parents[1] / "own_modality" / "waves.py"
NAME = "waves_of_a_user"


@pytest.fixture(scope="module")
def waves() -> Iterator[ModuleType]:
    """The module, found as a file on the path is; records of it may be loaded."""
    spec = importlib.util.spec_from_file_location(NAME, SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, NAME, module)
        patch.setattr(trust, "_trusted", {NAME})
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(autouse=True)
def waves_may_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_trusted", {NAME})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("waves")
    for split in ("train", "held_out"):
        for number in range(12):
            length, cycles = (20 if number % 5 == 4 else 40), 1 + number % 2
            phase = np.arange(length)[:, None] * cycles / 5 + np.array([0.0, 1.0]) + number
            place = root / split / f"class-{cycles}" / f"{number}.npy"
            place.parent.mkdir(parents=True, exist_ok=True)
            np.save(place, np.sin(phase))
    return root


def recipe_of(waves: Any, root: Path) -> Recipe:
    files = {split: {"waves": waves.WaveFiles(path=split)} for split in ("train", "held_out")}
    stream = Stream(name="waves", files=files["train"], held_out=files["held_out"], batch_size=4)
    content = Objective(name="content", modality="waves", target=Content(), loss=mse)
    toy = toy_recipe()
    return replace(
        toy,
        name="waves",
        modalities=(waves.Waves(),),
        objectives=(content,),
        data=Data(root=str(root), streams=(stream,)),
        run=replace(toy.run, report=True),
    )


@pytest.fixture(scope="module")
def run(waves: ModuleType, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train(recipe_of(waves, root), out)
    return out


def test_pretraining_a_report_and_probes_need_no_hook(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run)]) == 0
    assert "<figure>" in (run / "report" / "index.html").read_text()
    assert main(["probe", str(run), "--out", str(tmp_path / "probe")]) == 0
    assert "waves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "hook"),
    [("embed", "FILE_READERS = {Waves: FileReader("), ("impute", "IMPUTERS = {Waves: an Imputer}")],
)
def test_a_command_says_which_hook_it_misses(
    command: str,
    hook: str,
    run: Path,
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = root / "held_out" / "class-1" / "0.npy"
    assert main([command, str(run), str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"write {hook}" in error
    assert f"in {NAME}; omnimask.transfer.modality_hooks" in error


def test_other_sizes_say_which_methods_are_missing(run: Path, waves: Any) -> None:
    with pytest.raises(RecipeError, match=r"write continued_from, .*Adaptable"):
        adapt(load_encoder(run), [waves.Waves(patch=8)])


def test_an_exported_graph_needs_no_hook(waves: Any, root: Path) -> None:
    modality = waves.Waves()
    source = waves.WaveFiles(path="train").open(str(root), modality)
    samples = [source.read(index, Visit(key=0)) for index in range(3)]
    front = front_of(modality, "samples")
    assert sorted(front.inputs(samples)) == ["real_frames", "wave"]


def reader_of(waves: Any) -> FileReader:
    return FileReader(files=waves.WaveFiles, suffixes=lambda _: (".npy",), open=waves.WaveSource)


def test_a_hook_may_stand_beside_the_record_in_its_file(
    run: Path, root: Path, tmp_path: Path, waves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "FILE_READERS", {waves.Waves: reader_of(waves)}, raising=False)
    out = tmp_path / "waves.parquet"
    assert main(["embed", str(run), str(root / "held_out"), "--out", str(out)]) == 0
    assert pyarrow.parquet.read_table(out).num_rows == 12


@pytest.mark.parametrize("wrong", ["a tuple", "a class"])
def test_what_is_no_hook_is_refused(
    wrong: str, waves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"a tuple": (reader_of(waves),), "a class": {waves.Waves: waves.WaveFiles}}[wrong]
    monkeypatch.setattr(waves, "FILE_READERS", found, raising=False)
    kind = "tuple" if wrong == "a tuple" else "type"
    with pytest.raises(RecipeError, match=rf"FILE_READERS in {NAME} must be .* got {kind}; write"):
        find_hook(waves.Waves(), FILE_READERS)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with the record in a module of its own, to which a test adds a hook's module."""
    folder = tmp_path / "package_of_a_user"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "record.py").write_text(SOURCE.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


HOOK = """
from omnimask.transfer.modality_hooks import FileReader
from package_of_a_user.record import Waves, WaveFiles, WaveSource

{name} = {{Waves: FileReader(files=WaveFiles, suffixes=lambda _: (".npy",), open=WaveSource)}}
"""


def test_a_hook_may_stand_in_a_module_of_the_records_package(package: Path) -> None:
    (package / "file_reader.py").write_text(HOOK.format(name="FILE_READERS"))
    record = importlib.import_module("package_of_a_user.record")
    found = find_hook(record.Waves(), FILE_READERS)
    assert found is not None
    assert found.files is record.WaveFiles
    assert find_hook(record.Waves(), IMPUTERS) is None


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (HOOK.format(name="FILE_READER"), RecipeError, "package_of_a_user.file_reader must define"),
        ("import a_library_that_is_not_here", ModuleNotFoundError, "a_library_that_is_not_here"),
    ],
)
def test_a_module_of_a_hook_that_cannot_be_used_is_no_missing_hook(
    package: Path, text: str, error: type[Exception], message: str
) -> None:
    (package / "file_reader.py").write_text(text)
    record = importlib.import_module("package_of_a_user.record")
    with pytest.raises(error, match=message):
        find_hook(record.Waves(), FILE_READERS)


def test_doctor_says_how_a_package_names_its_readers(package: Path) -> None:
    with pytest.raises(RecipeError, match=r"write a function available_readers\(\)"):
        available_readers_in(package.name)


SAYS = "\ndef available_readers() -> dict[str, str]:\n    return {'.wave': 'numpy, of KIND'}\n"


@pytest.mark.parametrize("file", ["record.py", "__init__.py"])
def test_readers_are_said_by_the_records_module_or_by_its_package(package: Path, file: str) -> None:
    with (package / file).open("a") as said:
        said.write(SAYS.replace("KIND", file))
    assert available_readers_in("package_of_a_user.record") == {".wave": f"numpy, of {file}"}
