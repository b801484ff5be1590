"""`export` on toy encoders: from runs, folders and memory; and every error a user can meet."""

import json
from pathlib import Path

import pytest
import torch

import omnimask
from omnimask import RecipeError, load_encoder
from omnimask.tokens.modality import Visit
from omnimask.training.checkpoint import Checkpoint, last_checkpoint
from omnimask.training.checkpoint_writer import save_checkpoint
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from omnimask.transfer.exporting import export, graphs, requirements
from tests.unit.export_cases import ENCODERS, SMALL, scattered
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import TOYS, with_teacher


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder after its last step, without the steps."""
    folder, recipe = tmp_path_factory.mktemp("exporting") / "run", fit(with_teacher())
    weights = build_model(recipe).state_dict()
    saved = Checkpoint(recipe=recipe, weights=weights, optimizer={}, state={"step": 8})
    save_checkpoint(folder, saved, keep=1)
    (folder / "metrics.jsonl").write_text('{"step": 8, "loss/toy_content": 0.5, "data_wait": 0}\n')
    return folder


def waves(modality: str = "toy", count: int = 3):
    toy = next(toy for toy in TOYS if toy.name == modality)
    source = ToyFiles().open(".", toy)
    return [source.read(i, Visit(key=0, augment=False)) for i in range(count)]


def test_the_encoder_of_a_run_loads_again(run: Path, tmp_path: Path):
    exported = export(run, format="encoder", out=tmp_path / "out")
    assert [(p.modality, p.largest) for p in exported.parity] == [("toy", 0.0), ("other", 0.0)]
    assert all(p.origin.startswith("held-out files") for p in exported.parity)
    assert load_encoder(exported.folder).hash() == load_encoder(run).hash()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_one_modality_leaves_the_others_behind(run: Path, tmp_path: Path):
    exported = export(
        last_checkpoint(run), format="encoder", out=tmp_path / "out", modality="other"
    )
    (parity,) = exported.parity
    assert parity.modality == "other"
    alone = load_encoder(exported.folder)
    assert [m.name for m in alone.info.modalities] == ["other"]
    assert not any("toy" in name for name in alone.state_dict())


def test_the_teacher_is_exported_on_request(run: Path, tmp_path: Path):
    exported = export(run, format="encoder", out=tmp_path / "out", which="teacher")
    assert load_encoder(exported.folder).hash() == load_encoder(run, which="teacher").hash()


def test_every_modality_gets_a_program_from_an_encoder_in_memory(tmp_path: Path):
    encoder = scattered(TOYS, ENCODERS["both"]).train()
    given = {"toy": waves(), "other": waves("other")}
    exported = omnimask.export(
        encoder, format="torch", out=tmp_path / "out", samples=given, start="tokens"
    )
    assert sorted(p.name for p in exported.folder.glob("*.pt2")) == ["other.pt2", "toy.pt2"]
    assert all(0 <= p.largest < 1e-5 and p.samples == 3 for p in exported.parity)
    assert encoder.training


def test_the_card_says_what_it_is(run: Path, tmp_path: Path):
    out = export(run, format="encoder", out=tmp_path / "out", licence="CC-BY-4.0").folder
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for expected in (
        f"omnimask.load_encoder({str(out)!r})",
        "| toy_content | toy | Content | mse |",
        "| both | other | train | held_out |",
        "| loss/toy_content | 0.5 |",
        f"| torch | {torch.__version__} |" if "+" not in torch.__version__ else "| torch |",
        load_encoder(out).hash(),
        "| toy | 0.0e+00 | 1e-05 | 8 | held-out files of stream toy |",
    ):
        assert expected in card, expected


def test_the_card_prefers_the_runs_report(run: Path, tmp_path: Path):
    loss = {"stream": "toy", "objective": "toy_content", "model": 0.25, "constant": None}
    results = {"held_out_losses": [loss], "knn": [{"stream": "toy", "model": 0.5, "seeds": [1]}]}
    (run / "results.json").write_text(json.dumps(results))
    card = export(run, format="encoder", out=tmp_path / "out").folder / "README.md"
    assert "| toy | toy_content | 0.25 | None |" in card.read_text()
    assert "| toy | 0.5 |" in card.read_text()
    (run / "results.json").unlink()


def test_features_that_differ_are_an_error_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = {"toy": waves()}
    encoder = scattered(TOYS[:1], SMALL)
    with torch.no_grad():
        broken = scattered(TOYS[:1], SMALL)
        broken.backbone.encoder.norm.bias.add_(1e-3)
    real = graphs.DenseEncoder
    monkeypatch.setattr(graphs, "DenseEncoder", lambda _, name: real(broken, name))
    with pytest.raises(RecipeError, match=r"does not give the encoder's features: toy: largest"):
        export(encoder, format="torch", out=tmp_path / "out", samples=given, start="tokens")
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_is_none_is_no_parity(tmp_path: Path):
    encoder = scattered(TOYS[:1], SMALL)
    with torch.no_grad():
        encoder.backbone.encoder.norm.bias[0] = float("nan")
    with pytest.raises(RecipeError, match=r"largest difference nan"):
        export(
            encoder, format="torch", out=tmp_path / "out", samples={"toy": waves()}, start="tokens"
        )


@pytest.mark.parametrize("format", ["timm", "transformers"])
def test_formats_for_pixels_refuse_other_modalities(run: Path, tmp_path: Path, format: str):
    with pytest.raises(RecipeError, match=r"no images or clips but toy, other; the formats"):
        export(run, format=format, out=tmp_path / "out")
    with pytest.raises(RecipeError, match=r"'toy' is a Toy; the formats encoder, onnx and torch"):
        export(run, format=format, out=tmp_path / "out", modality="toy")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_said(run: Path, tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(RecipeError, match=r"no format 'onxx'; did you mean onnx"):
        export(run, format="onxx", out=out)
    with pytest.raises(RecipeError, match=r"never saw 'tou'.*did you mean toy"):
        export(run, format="onnx", out=out, modality="tou")
    with pytest.raises(RecipeError, match=r"there is no .*nowhere"):
        export(tmp_path / "nowhere", format="onnx", out=out)
    with pytest.raises(RecipeError, match=r"exists already; name a new folder in --out"):
        export(run, format="onnx", out=run)


def test_what_is_wrong_with_samples_is_said(run: Path, tmp_path: Path):
    out, encoder = tmp_path / "out", scattered(TOYS, SMALL)
    with pytest.raises(RecipeError, match=r"samples has no 'other' to check .*known: toy"):
        export(encoder, format="torch", out=out, samples={"toy": waves()}, start="tokens")
    with pytest.raises(RecipeError, match=r"no run with files .*--modality toy --samples PATHS"):
        export(encoder, format="torch", out=out)
    with pytest.raises(RecipeError, match=r"samples are of one modality; say which"):
        export(run, format="torch", out=out, samples=[tmp_path])
    with pytest.raises(RecipeError, match=r"takes at least one sample, got none"):
        export(encoder, format="torch", out=out, modality="toy", samples={"toy": []})


def test_a_missing_package_names_the_extra(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        requirements, "find_spec", lambda name: None if name == "onnxscript" else object()
    )
    with pytest.raises(RecipeError, match=r"needs onnxscript, not installed.*omnimask\[export\]"):
        export(run, format="onnx", out=tmp_path / "out")


def test_an_export_that_died_is_cleared_away(run: Path, tmp_path: Path):
    leftover = tmp_path / ".out.unfinished"
    leftover.mkdir()
    (leftover / "encoder.json").write_text("{}")
    export(run, format="encoder", out=tmp_path / "out")
    assert not leftover.exists()


def test_an_encoder_folder_takes_given_samples(tmp_path: Path):
    folder = omnimask.save_encoder(scattered(TOYS[:1], SMALL), tmp_path / "encoder")
    with pytest.raises(RecipeError, match=r"no run with files to check the export on"):
        export(folder, format="torch", out=tmp_path / "out")
    given = {"toy": waves()}
    (parity,) = export(
        folder, format="torch", out=tmp_path / "out", samples=given, start="tokens"
    ).parity
    assert parity.largest < 1e-5
