import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import omnimask
from omnimask.commands.main import main
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.network.encoder import Encoder
from omnimask.tokens.modality import Modality, Visit
from omnimask.transfer.embedding import Embedding, EmbedOptions, NotEmbedded, iter_embeddings
from omnimask.transfer.embedding.vectors import Embedder
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from recipes import small

SUFFIX_CHOICES = (".mp4=video", ".ply=points", ".npy=points", ".npz=points", ".xyz=points")


def image() -> Modality:
    return replace(small.modality("image"), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))  # pyright: ignore[reportArgumentType, reportCallIssue] ImagePatches


def tiny(*modalities: Modality, seed: int = 0) -> PretrainedEncoder:
    torch.manual_seed(seed)
    encoder = Encoder(width=16, depth=1, num_heads=2)
    return PretrainedEncoder(
        EncoderInfo(name="tiny", modalities=modalities, encoder=encoder, origin={})
    )


def fitted(name: str, root: Path) -> Modality:
    modality = small.modality(name)
    return modality.fit(small.files(name, "train").open(str(root), modality))


@pytest.fixture(scope="module")
def images() -> PretrainedEncoder:
    return tiny(image())


@pytest.fixture
def pictures(sample_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    found = sorted((sample_data / "images" / "train").glob("digit-*/*.png"))[:10]
    for path in found:
        place = folder / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return folder


def rows(path: Path) -> list[dict]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


def test_every_modality_has_one_vector_per_file_and_per_row(
    sample_data: Path, tmp_path: Path
) -> None:
    folders = {
        "image": "images", "video": "video", "audio": "audio", "points": "points",
        "voxels": "voxels", "table": "tables",
    }  # fmt: skip
    encoder = tiny(*(fitted(name, sample_data) for name in folders))
    paths, expected = [], {}
    for name, folder in folders.items():
        place = sample_data / folder / "held_out"
        names = sorted(path for path in place.rglob("*") if path.is_file())
        if name == "table":
            paths.append(place / "iris.csv")
            expected[name] = len((place / "iris.csv").read_text().split()) - 1
            continue
        kept = [path for path in names if name != "voxels" or path.suffix in (".bin", ".pcd")]
        paths += kept[:3]
        expected[name] = len(kept[:3])
    choices = (*SUFFIX_CHOICES, ".pcd=voxels") if "voxels" in folders else SUFFIX_CHOICES
    done = omnimask.embed(
        encoder, paths, tmp_path / "f.parquet", options=EmbedOptions(modality=choices)
    )
    found = rows(done.out)
    counts = {name: sum(row["modality"] == name for row in found) for name in folders}
    assert counts == expected
    assert (done.failed, done.unknown) == (0, 0)
    assert {row["model"] for row in found} == {encoder.hash()}
    assert [row["row"] for row in found if row["modality"] == "table"] == list(
        range(expected["table"])
    )
    assert all(np.isfinite(row["vector"]).all() for row in found)


def test_a_vector_is_that_of_the_encoder_on_the_centre_view(
    images: PretrainedEncoder, pictures: Path
) -> None:
    modality = image()
    source = replace(small.files("image", "train"), path=".").open(str(pictures), modality)  # pyright: ignore[reportArgumentType] an ImageFiles
    sample = {"image": source.read(0, Visit(key=5, augment=False))}
    expected = images.embed([sample])[0].numpy()
    first = next(iter_embeddings(images, [pictures]))
    assert isinstance(first, Embedding)
    assert first.key.path == str(pictures / source.name(0))
    assert first.label == "digit-0"
    np.testing.assert_allclose(first.vector, expected, atol=1e-5)


class Killed(BaseException):
    pass


def test_killed_and_resumed_gives_the_same_file(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    options = EmbedOptions(part_size=3, batch_size=2)
    whole = omnimask.embed(images, [pictures], tmp_path / "whole.parquet", options=options)
    embed = Embedder.embed
    calls = []

    def dies(self: Embedder, part: object) -> Iterator[Embedding | NotEmbedded]:
        calls.append(part)
        if len(calls) == 3:
            raise Killed
        return embed(self, part)  # pyright: ignore[reportArgumentType] passed on

    monkeypatch.setattr(Embedder, "embed", dies)
    out = tmp_path / "again.parquet"
    with pytest.raises(Killed):
        omnimask.embed(images, [pictures], out, options=options)
    assert not out.exists()
    assert len(list((tmp_path / "again.parquet.parts").glob("*.parquet"))) == 2
    monkeypatch.undo()
    again = omnimask.embed(images, [pictures], out, options=options)
    assert (again.skipped, again.new) == (6, 4)
    assert pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(whole.out))
    assert not (tmp_path / "again.parquet.parts").exists()


def test_parts_left_by_a_death_after_the_end_are_not_counted_twice(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "f.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        patch.setattr(Path, "rmdir", lambda _: None)
        omnimask.embed(images, [pictures], out, options=EmbedOptions(part_size=3))
    assert (tmp_path / "f.parquet.parts").exists()
    done = omnimask.embed(images, [pictures], out)
    assert (done.vectors, done.new, done.skipped) == (10, 0, 10)


def test_a_later_call_adds_new_files(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.parquet"
    names = sorted(str(path) for path in pictures.rglob("*.png"))
    omnimask.embed(images, names[:4], out)
    done = omnimask.embed(images, [pictures], out)
    assert (done.vectors, done.new, done.skipped) == (10, 6, 4)
    assert sorted(row["path"] for row in rows(out)) == names


def test_another_encoder_or_pooling_is_an_error(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.parquet"
    omnimask.embed(images, [pictures], out)
    other = tiny(image(), seed=1)
    with pytest.raises(RecipeError, match=other.hash()):
        omnimask.embed(other, [pictures], out)
    with pytest.raises(RecipeError, match="pooling cls"):
        omnimask.embed(images, [pictures], out, options=EmbedOptions(pooling="cls"))


def test_files_without_a_vector_are_listed_and_the_others_are_embedded(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path
) -> None:
    corrupt = pictures / "digit-0" / "corrupt.png"
    corrupt.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (pictures / "README.txt").write_text("in the folder")
    named = tmp_path / "sound.wav"
    named.write_bytes(b"RIFF")
    done = omnimask.embed(images, [pictures, named], tmp_path / "f.parquet")
    listed = [json.loads(line) for line in done.bad.read_text().splitlines()]
    assert (done.vectors, done.failed, done.unknown) == (10, 2, 1)
    kinds = {Path(entry["path"]).name: entry["kind"] for entry in listed}
    assert kinds == {"corrupt.png": "unreadable", "README.txt": "unknown", "sound.wav": "unknown"}
    assert all("image reads" in entry["reason"] for entry in listed if entry["kind"] == "unknown")


def test_a_suffix_of_two_modalities_must_be_chosen(pictures: Path, tmp_path: Path) -> None:
    both = tiny(small.modality("points"), small.modality("voxels"))
    cloud = tmp_path / "cloud.xyz"
    np.savetxt(cloud, np.random.default_rng(0).normal(size=(600, 3)))
    with pytest.raises(RecipeError, match=r"--modality \.xyz=points or --modality \.xyz=voxels"):
        list(iter_embeddings(both, [cloud]))
    for choice, expected in ((".xyz=voxels", "voxels"), ("points", "points")):
        (found,) = iter_embeddings(both, [cloud], options=EmbedOptions(modality=(choice,)))
        assert isinstance(found, Embedding)
        assert found.modality == expected
    with pytest.raises(RecipeError, match="has no modality 'audio'"):
        list(iter_embeddings(both, [cloud], options=EmbedOptions(modality=("audio",))))


def test_a_path_that_is_not_there_is_an_error(images: PretrainedEncoder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        list(iter_embeddings(images, [tmp_path / "nowhere"]))


def test_a_table_may_have_another_name_and_other_columns(sample_data: Path, tmp_path: Path) -> None:
    encoder = tiny(fitted("table", sample_data))
    lines = (sample_data / "tables" / "held_out" / "iris.csv").read_text().splitlines()[:4]
    table = tmp_path / "mine.csv"
    table.write_text("\n".join([f"{lines[0]},note", *(f"{line},x" for line in lines[1:])]) + "\n")
    found = list(iter_embeddings(encoder, [table]))
    same = list(iter_embeddings(encoder, [sample_data / "tables" / "held_out" / "iris.csv"]))[:3]
    for own, other in zip(found, same, strict=True):
        assert isinstance(own, Embedding)
        assert isinstance(other, Embedding)
        np.testing.assert_allclose(own.vector, other.vector, atol=1e-5)


def test_command_prints_the_speed_and_its_status_tells_of_failures(
    images: PretrainedEncoder, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = save_encoder(images, tmp_path / "encoder")
    out = tmp_path / "f.parquet"
    assert main(["embed", str(encoder), str(pictures), "--out", str(out)]) == 0
    assert "10 vectors, 10 of them new" in (text := capsys.readouterr().out)
    assert "files/s" in text
    (pictures / "broken.png").write_bytes(b"")
    with pytest.raises(SystemExit) as status:
        main(["embed", str(encoder), str(pictures), "--out", str(out)])
    assert status.value.code == 1
    # What the command itself wrote is not embedded.
    assert main(["embed", str(encoder), str(tmp_path / "gone"), "--out", str(out)]) == 2
