"""Encoders from runs, checkpoints and encoder folders; what is wrong with a file is said."""

import json
from pathlib import Path

import pytest
import torch

from omnimask import RecipeError, load_encoder, load_model, save_encoder
from omnimask.commands.pretrain import train
from omnimask.data.streams import open_streams
from omnimask.network.pooling import pool
from omnimask.tokens.modality import Visit
from omnimask.training.checkpoint import last_checkpoint
from tests.unit.toy_recipe import toy_recipe, with_teacher


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder_file") / "run"
    train(with_teacher(), folder)
    return folder


@pytest.fixture
def group():
    (reader, *_) = open_streams(toy_recipe())
    return reader.held_out_group([0, 3, 4])


def test_every_form_of_an_encoder_gives_the_same_features(run: Path, group, tmp_path: Path):
    encoder = load_encoder(run)
    saved = save_encoder(encoder, tmp_path / "encoder")
    sources = [last_checkpoint(run), saved, saved / "encoder.safetensors", str(saved)]
    expected = encoder(group).visible[0]
    for source in sources:
        other = load_encoder(source)
        assert torch.equal(other(group).visible[0], expected)
        assert other.hash() == encoder.hash()
        assert other.info == encoder.info


def test_the_encoder_is_the_runs_own_backbone(run: Path, group):
    model, encoder = load_model(run), load_encoder(run)
    own = {k.removeprefix("backbone."): v for k, v in encoder.state_dict().items()}
    theirs = model.backbone.state_dict()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_the_teacher_is_another_encoder(run: Path):
    student, teacher = load_encoder(run), load_encoder(run, which="teacher")
    assert student.hash() != teacher.hash()
    weights = load_model(run).teacher
    assert weights is not None
    assert torch.equal(teacher.backbone.encoder.norm.weight, weights.backbone.encoder.norm.weight)


def test_embed_takes_samples_as_readers_return_them(run: Path, group):
    encoder, (reader, *_) = load_encoder(run), open_streams(toy_recipe())
    samples = [reader.read(i, Visit(key=0, augment=False)) for i in (0, 3, 4)]
    assert torch.equal(encoder.embed(samples), pool(encoder(group)))
    class_tokens = encoder.embed(samples, pooling="cls")
    assert class_tokens.shape == (3, encoder.info.encoder.width)
    assert not torch.equal(class_tokens, encoder.embed(samples))


def test_a_modality_that_was_never_seen_is_named(run: Path):
    with pytest.raises(RecipeError, match=r"never saw 'tou'.*did you mean toy"):
        load_encoder(run).embed([{"tou": {}}])


def test_what_is_no_encoder_is_said(run: Path, tmp_path: Path):
    with pytest.raises(RecipeError, match="there is no"):
        load_encoder(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match=r"has no checkpoint: .* nor an encoder folder"):
        load_encoder(tmp_path)
    saved = save_encoder(load_encoder(run), tmp_path / "encoder")
    with pytest.raises(RecipeError, match=r"holds an encoder only.*Name the run folder"):
        load_model(saved)
    with pytest.raises(RecipeError, match="already holds an encoder"):
        save_encoder(load_encoder(run), saved)


def test_files_of_another_version_are_refused(run: Path, tmp_path: Path):
    saved = save_encoder(load_encoder(run), tmp_path / "encoder")
    (saved / "SHA256SUMS").unlink()  # it would write its own
    info = json.loads((saved / "encoder.json").read_text())
    (saved / "encoder.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(RecipeError, match=r"has format 99, this version of omnimask reads up to 2"):
        load_encoder(saved)
    changed = {**info, "encoder": {**info["encoder"], "depth": 3}}
    (saved / "encoder.json").write_text(json.dumps(changed))
    with pytest.raises(RecipeError, match=r"weights do not fit: missing .*another version"):
        load_encoder(saved)
