"""Speeds of embedding are of all files, and a file without a vector is an error."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnimask.transfer.encoder_folder import save_encoder
from tests.unit.transfer.embedding.test_embedding import image, tiny
from tools import bench_embedding as bench


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "images" / "held_out" / "noise"
    folder.mkdir(parents=True)
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    monkeypatch.setattr(bench, "SAMPLES", tmp_path)
    return save_encoder(tiny(image()), tmp_path / "encoder")


def test_every_repeat_is_timed_after_a_warm_up(encoder: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    real = bench._embed, bench._read
    monkeypatch.setattr(bench, "_embed", lambda *given: (calls.append("embed"), real[0](*given)))
    monkeypatch.setattr(bench, "_read", lambda *given: (calls.append("read"), real[1](*given)))
    speed = bench.measure(encoder, "image", repeats=2, batch_size=2)
    assert calls == ["embed", "read"] * 3
    assert (speed.files, speed.samples, len(speed.whole), len(speed.reading)) == (3, 3, 2, 2)


def test_the_row_says_median_and_spread() -> None:
    speed = bench.Speed(
        modality="table", files=2, samples=100, whole=(1.0, 2.0, 4.0), reading=(0.5, 0.5, 1.0)
    )
    assert speed.row == (
        "| table | 2 | 100 | 1.0 (0.5 – 2.0) | 50.0 (25.0 – 100.0) | 25% (25% – 50%) |"
    )


def test_the_command_prints_a_table_and_names_a_file_that_has_no_vector(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(encoder), "--modalities", "image", "--repeats", "1"]
    assert bench.main(command) == 0
    assert "| image | 3 | 3 |" in capsys.readouterr().out
    (tmp_path / "images" / "held_out" / "noise" / "broken.png").write_bytes(b"no picture")
    assert bench.main(command) == 1
    assert "broken.png" in capsys.readouterr().err
