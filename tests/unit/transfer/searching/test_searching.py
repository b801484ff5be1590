import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import omnimask
from omnimask.commands.main import main
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.report.vector_map import MapOptions, map_page, map_places, points_of, write_map
from omnimask.transfer.embedding.store import Made
from omnimask.transfer.embedding.vectors import Key
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.searching.features import VectorTable
from omnimask.transfer.searching.neighbours import SearchOptions, Seeker, nearest
from tests.unit.transfer.embedding.test_embedding import image, tiny


def vectors(num: int = 12, *, width: int = 4) -> VectorTable:
    values = np.random.default_rng(0).normal(size=(num, width)).astype(np.float32)
    return VectorTable(
        made=Made(model="abc", encoder="toy", pooling="mean", width=width),
        keys=tuple(Key(path=f"/data/{i}.png", row=None) for i in range(num)),
        modalities=tuple("image" if i % 2 else "audio" for i in range(num)),
        labels=tuple(f"<class {i % 3}>" for i in range(num)),
        vectors=values,
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures" / "noise"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(6):
        pixels = random.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_neighbours_are_those_of_the_largest_cosine_without_the_query_itself() -> None:
    table = vectors()
    (hits,) = nearest(table, [Seeker(table).seek("/data/3.png")], SearchOptions(k=4))
    unit = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    cosine = unit @ unit[3]
    order = [i for i in np.argsort(-cosine) if i != 3][:4]
    assert [hit.key for hit in hits] == [table.keys[i] for i in order]
    np.testing.assert_allclose([hit.similarity for hit in hits], cosine[order], atol=1e-6)


def test_neighbours_of_one_modality_only() -> None:
    table = vectors()
    query = Seeker(table).seek("/data/3.png")
    (hits,) = nearest(table, [query], SearchOptions(k=50, within=True))
    assert {hit.modality for hit in hits} == {"image"}
    assert len(hits) == 5
    (hits,) = nearest(table, [query], SearchOptions(k=50, modality="audio"))
    assert len(hits) == 6
    with pytest.raises(RecipeError, match="there are audio, image"):
        nearest(table, [query], SearchOptions(modality="video"))


def test_whitening_lets_small_directions_count() -> None:
    """Two directions are a hundred times longer and say nothing; the third tells classes."""
    random = np.random.default_rng(1)
    table = vectors(300, width=3)
    side = np.where(np.arange(300) % 3 == 0, 1.0, -1.0)
    values = np.concatenate([100 * random.normal(size=(300, 2)), side[:, None]], axis=1)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    values = (values @ turn).astype(np.float32)
    table = VectorTable(
        made=table.made,
        keys=table.keys,
        modalities=table.modalities,
        labels=table.labels,
        vectors=values,
    )
    queries = [Seeker(table).seek(f"/data/{i}.png") for i in range(0, 300, 3)]
    shares = {
        whiten: np.mean(
            [
                hit.label == "<class 0>"
                for hits in nearest(table, queries, SearchOptions(k=3, whiten=whiten))
                for hit in hits
            ]
        )
        for whiten in (True, False)
    }
    assert shares[True] > 0.9
    assert shares[False] < 0.6


def test_a_query_from_outside_goes_through_the_encoder_of_the_table(
    pictures: Path, tmp_path: Path
) -> None:
    encoder = save_encoder(tiny(image()), tmp_path / "encoder")
    done = omnimask.embed(encoder, [pictures], tmp_path / "f.parquet")
    table = omnimask.open_features(done.out)
    copy = tmp_path / "copy.png"
    copy.write_bytes((pictures / "4.png").read_bytes())
    (hits,) = nearest(table, [Seeker(table, encoder).seek(str(copy))])
    assert hits[0].key == Key(path=str(pictures / "4.png"))
    assert hits[0].similarity == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(RecipeError, match="--encoder"):
        Seeker(table).seek(str(copy))
    with pytest.raises(DataError, match="neither in the table"):
        Seeker(table, encoder).seek(str(tmp_path / "gone.png"))
    other = save_encoder(tiny(image(), seed=1), tmp_path / "other")
    with pytest.raises(RecipeError, match=table.made.model):
        Seeker(table, other)


def test_command_writes_words_json_and_a_sheet(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = save_encoder(tiny(image()), tmp_path / "encoder")
    out = tmp_path / "f.parquet"
    assert main(["embed", str(encoder), str(pictures), "--out", str(out)]) == 0
    sheet, answer = tmp_path / "sheet.png", tmp_path / "answer.json"
    query = str(pictures / "2.png")
    options = ["-k", "3", "--encoder", str(encoder), "--out", str(sheet), "--json", str(answer)]
    assert main(["search", str(out), query, *options]) == 0
    printed = capsys.readouterr().out
    (found,) = json.loads(answer.read_text())
    assert found["query"]["path"] == query
    assert len(found["neighbours"]) == 3
    assert all(neighbour["path"] in printed for neighbour in found["neighbours"])
    with Image.open(sheet) as picture:
        assert picture.width > 800
    assert main(["search", str(tmp_path / "gone.parquet"), query]) == 2
    assert main(["search", str(out), query, "--out", str(sheet)]) == 2


def test_a_parquet_file_of_others_is_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="was not written by `omnimask embed`"):
        omnimask.open_features(tmp_path / "other.parquet")


def test_map_is_one_page_with_every_sample_escaped(tmp_path: Path) -> None:
    table = vectors(30)
    whole = write_map(table, tmp_path / "map.html").read_text()
    page = whole.split("</script>", 1)[1]  # after plotly.js
    assert "Plotly.newPlot" in page
    assert page.count("map-modality") == 2
    assert page.count("map-label") == 2
    assert "<class 0>" not in page
    assert page.count("/data/7.png") == 2
    assert "http" not in page
    with pytest.raises(DataError, match="at least four"):
        write_map(vectors(3), tmp_path / "map.html")


def test_a_map_is_the_same_with_the_same_seed_and_keeps_neighbours_near() -> None:
    table = vectors(40)
    table.vectors[:20] += 20.0
    places, options = list(range(40)), MapOptions(whiten=False, perplexity=5.0)
    first, second = (map_places(table, places, options) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    distance = np.linalg.norm(first[:, None] - first[None], axis=2) + 1e9 * np.eye(40)
    same = (distance.argmin(axis=1) < 20) == (np.arange(40) < 20)
    assert same.mean() > 0.9
    half = points_of(table, places[:20], first[:20])
    assert "20 of 40" in map_page(table, half, options)


def test_numbers_of_rows_are_no_classes_but_folders_named_by_numbers_are() -> None:
    table = vectors(4)
    table = replace(
        table,
        keys=(*table.keys[:2], *(Key(path="/data/t.csv", row=i) for i in range(2))),
        labels=("7", None, "7.5", "seven"),
    )
    shown = points_of(table, range(4), table.vectors[:, :2])
    assert shown.labels == ("7", None, None, "seven")
    assert shown.names[2] == "/data/t.csv#row 0"


def test_a_map_is_a_picture_where_the_name_says_so(tmp_path: Path) -> None:
    with Image.open(write_map(vectors(30), tmp_path / "map.png")) as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20) or ()}
    assert len(colors) > 20
    with pytest.raises(RecipeError, match=r"write map\.html"):
        write_map(vectors(30), tmp_path / "map.txt")
