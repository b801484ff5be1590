"""The world's folder: a pure function of seed and scene, whole, resumable, read by our readers."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omnimask.commands.main import main
from omnimask.data.streams import StreamReader
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.recipe.settings import Data, Stream
from omnimask.sample_data.world import generate as generating
from omnimask.sample_data.world.factors import as_row, draw_scene
from omnimask.sample_data.world.generate import FACTORS, generate, observe_missing
from omnimask.sample_data.world.layout import FOLDERS, SENSES, place_of, scenes_for, senses_of
from omnimask.tokens.modality import Visit
from recipes.omni import quickstart
from recipes.sample_modalities import mixed_modalities

NUM = 6  # per sense: two rounds of scenes, the second of them held out
SEED = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world") / "world"
    generate(root, scenes=NUM, seed=SEED, processes=0)
    return root


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_every_sense_has_its_files_and_a_quarter_of_scenes_has_all() -> None:
    scenes = scenes_for(300, SENSES)
    assert len(scenes) == 300 * 8 // 3
    paired = [senses for senses in scenes.values() if len(senses) > 1]
    assert len(paired) == len(scenes) // 4
    assert set(paired) == {SENSES}
    for sense in SENSES:
        assert sum(sense in senses for senses in scenes.values()) == 300
    assert all(senses_of(number) == senses for number, senses in scenes.items())


def test_one_sense_alone_takes_the_same_scenes_as_among_others() -> None:
    whole = scenes_for(10, SENSES)
    alone = scenes_for(10, ("audio",))
    assert list(alone) == [number for number, senses in whole.items() if "audio" in senses]


def test_the_folder_has_all_files_and_says_so(world: Path) -> None:
    for sense, folder in FOLDERS.items():
        files = [path for path in (world / folder).rglob("*") if path.is_file()]
        assert len(files) == (2 if sense == "table" else NUM)
    rows = [pd.read_csv(path) for path in (world / FOLDERS["table"]).rglob("*.csv")]
    assert sum(len(part) for part in rows) == NUM
    assert json.loads((world / generating.MANIFEST).read_text())["complete"]
    for map_name in ("rgb", *generating.MAPS):
        assert len(list((world / "maps/train" / map_name).glob("*/*"))) == NUM // 2


def test_factors_are_what_is_drawn(world: Path) -> None:
    table = pd.read_parquet(world / FACTORS)
    assert table["scene"].tolist() == list(scenes_for(NUM, SENSES))
    for row in table.to_dict("records"):
        drawn = as_row(draw_scene(SEED, row["scene"]))
        assert {k: v for k, v in row.items() if pd.notna(v)} == {
            k: v for k, v in drawn.items() if v is not None
        }


def test_a_killed_run_goes_on_and_a_longer_one_adds(world: Path, tmp_path: Path) -> None:
    """In other pieces and another order, to the same bytes."""
    root = tmp_path / "world"
    written = 0

    def killed(path: Path, data: bytes) -> None:
        nonlocal written
        written += 1
        if written == 8:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.99").write_bytes(data[:100])
            raise KeyboardInterrupt
        whole(path, data)

    whole = generating.write_whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generating, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            generate(root, scenes=3, seed=SEED, processes=0)
    assert len(list(root.rglob(".*"))) == 1
    assert not json.loads((root / generating.MANIFEST).read_text())["complete"]
    kept = {path: path.stat().st_mtime_ns for path in root.rglob("scene-*") if path.is_file()}
    assert kept
    scene = draw_scene(SEED, 8)
    observe_missing(scene, senses_of(8), root)
    generate(root, scenes=3, seed=SEED, processes=0)
    generate(root, scenes=NUM, seed=SEED, processes=0)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert digests(root) == digests(world)


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(world: Path, tmp_path: Path) -> None:
    script = [str(tmp_path / "world"), "--scenes", str(NUM), "--seed", str(SEED)]
    before = os.environ.get("OMP_NUM_THREADS")
    assert main(["sample-data", *script, "--processes", "2"]) == 0
    assert os.environ.get("OMP_NUM_THREADS") == before
    assert digests(tmp_path / "world") == digests(world)


def test_another_seed_is_another_world(world: Path, tmp_path: Path) -> None:
    scene = draw_scene(SEED + 1, 0)
    observe_missing(scene, ("audio",), tmp_path)
    (other,) = digests(tmp_path).values()
    assert other not in digests(world).values()


def test_our_readers_read_every_sense_and_pair_all_six(world: Path) -> None:
    recipe = quickstart()
    recipe = type(recipe)(
        **{
            **{name: getattr(recipe, name) for name in recipe.__slots__},
            "data": Data(root=str(world), streams=recipe.data.streams),
        }
    )
    files = {
        name: record.files(f"{record.folder}/train") for name, record in mixed_modalities().items()
    }
    paired = StreamReader(Stream(name="six", files=files, batch_size=2), files, recipe)
    assert [paired.name(i) for i in range(len(paired))] == sorted(
        f"{place_of(number, draw_scene(SEED, number).subject.shape.family).name}.jpg"
        for number in (0, 1)
    )
    sample = paired.read(0, Visit(key=1))
    assert set(sample) == set(mixed_modalities())
    for stream in recipe.data.streams:
        for part in (stream.files, stream.held_out):
            assert part is not None
            reader = StreamReader(stream, part, recipe)
            assert len(reader) == NUM // 2
            assert all(np.isin(reader.label(i), _families(world)) for i in range(len(reader)))
            reader.read(0, Visit(key=1))


def _families(world: Path) -> list[str]:
    return pd.read_parquet(world / FACTORS)["family"].unique().tolist()


def test_wrong_requests_are_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown sense 'images'.*image"):
        generate(tmp_path / "new", scenes=1, senses=("images",))
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        generate(tmp_path / "new", scenes=0)
    with pytest.raises(DataError, match=f"a world of seed {SEED}, not 0; name another folder"):
        generate(world, scenes=NUM)
    (tmp_path / "mine.txt").write_text("not to be lost")
    with pytest.raises(DataError, match=r"no world.json.*another folder"):
        generate(tmp_path, scenes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
