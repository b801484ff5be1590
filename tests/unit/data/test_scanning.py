"""A scan names every sample that cannot be read, and lists the others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modalities.image import ImageFiles
from omnimask.commands.main import main
from omnimask.data.folders import list_files
from omnimask.data.scanning import errors_of, scan
from tests.recipes.catalogue import load
from tests.unit.toy import Toy, ToyFiles, ToySource
from tests.unit.toy_recipe import toy_recipe


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_wrong_does_not_depend_on_workers(num_workers: int):
    source = ToySource(ToyFiles(num_samples=150, bad=(3, 70, 149)), Toy())
    found = errors_of(source, num_workers=num_workers)
    assert sorted(found) == [3, 70, 149]
    assert "train-070" in found[70]


def test_every_part_of_every_stream_is_read(tmp_path: Path):
    recipe = toy_recipe()
    first, *others = recipe.data.streams
    first = replace(first, held_out={"toy": ToyFiles(path="held_out", num_samples=5, bad=(4,))})
    recipe = replace(recipe, data=replace(recipe.data, streams=(first, *others)))
    done = scan(recipe, tmp_path)
    assert len(done) == 8  # two streams of one modality and one of two, each with held-out files
    wrong = {(one.stream, one.part): list(one.wrong) for one in done if one.wrong}
    assert wrong == {("toy", "held_out"): ["class-1/held_out-004.toy"]}
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["samples"] for entry in report] == [one.samples for one in done]


def test_the_command_writes_a_list_that_a_recipe_takes(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = load("recipes.mae:debug", sample_data)
    (stream,) = recipe.data.streams
    ((modality, files),) = stream.files.items()
    assert isinstance(files, ImageFiles)
    folder = sample_data / files.path
    place = tmp_path / "data" / files.path
    place.mkdir(parents=True)
    good = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))[:3]
    for path in good:
        (place / path.name).write_bytes(path.read_bytes())
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xffnoise")
    words = ["scan", "recipes.mae:debug", "--data", str(tmp_path / "data"), "--workers", "0"]
    held_out = f"data.streams.{stream.name}.held_out.{modality}.path={files.path}"
    with pytest.raises(SystemExit):
        main([*words, "--out", str(tmp_path / "data"), "--set", held_out])
    said = capsys.readouterr().out
    assert "4 samples, 1 cannot be read" in said
    assert "broken.jpg" in said
    listed = f"{stream.name}.files.{modality}.parquet"
    found = list_files(str(tmp_path / "data"), listed, (".jpg", ".png"), what="x", labels="folder")
    assert sorted(Path(name).name for name in found.names) == sorted(path.name for path in good)
    for index in range(3):
        with found.local(index) as path:
            assert path.is_file()
