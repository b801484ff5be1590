"""Segmentation of pictures and clouds, end to end, from an encoder with random weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modalities.image import ImagePatches
from omnimask import RecipeError
from omnimask.commands.finetune import finetune
from omnimask.commands.main import main
from omnimask.foundation.records import from_json, to_json
from omnimask.network.encoder import Encoder
from omnimask.tokens.modality import Visit
from omnimask.transfer.encoder_folder import save_encoder
from omnimask.transfer.finetuning.classifier import load_classifier
from omnimask.transfer.finetuning.job import take_encoder
from omnimask.transfer.finetuning.labels import fit_task, open_readers
from omnimask.transfer.finetuning.model import build_finetuned
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Freeze, Lora, Mix, Validation
from omnimask.transfer.finetuning.results import read_results
from omnimask.transfer.loading import load_encoder
from omnimask.transfer.pretrained_encoder import EncoderInfo, PretrainedEncoder
from recipes import segmentation
from tests.unit.runs import assert_same_weights, losses, weights
from tests.unit.transfer.finetuning.test_run import train_until

NAMES = ("image", "points")
QUIET = {"num_workers": 0, "tracker": "none", "log_every": 1, "report": False}


def debug(name: str, root: Path, steps: int = 4, **changes: Any) -> FinetuneRecipe:
    recipe: FinetuneRecipe = vars(segmentation)[name]()
    streams = tuple(replace(stream, batch_size=4) for stream in recipe.data.streams)
    fields = {
        "data": replace(recipe.data, root=str(root), streams=streams),
        "optim": replace(recipe.optim, steps=steps, warmup_steps=1),
        "encoder": Encoder(width=32, depth=3, num_heads=2),
        "validation": Validation(),
        "run": replace(recipe.run, checkpoint_every=2, **QUIET),
    }
    return replace(recipe, **{**fields, **changes})


def small_encoder(recipe: FinetuneRecipe) -> PretrainedEncoder:
    """Pretrained, as it were, on pictures of half the size."""
    (modality,) = recipe.modalities
    if isinstance(modality, ImagePatches):
        modality = replace(modality, size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
    info = EncoderInfo(name="small", modalities=(modality,), encoder=recipe.encoder, origin={})
    torch.manual_seed(0)
    return PretrainedEncoder(info)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_scores_and_draws(
    name: str, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = debug(name, sample_data)
    recipe = replace(recipe, run=replace(recipe.run, report=True))
    finetune(recipe, tmp_path / "run", encoder=small_encoder(recipe))
    printed = capsys.readouterr().out
    assert ("cells of pretraining" in printed) == (name == "image")
    (stream,) = read_results(tmp_path / "run")["streams"].values()
    scores, names = stream["scores"], recipe.task.outputs
    assert set(stream["per_class"]) == set(names)
    found = [iou for iou in stream["per_class"].values() if iou is not None]
    assert scores["mean_iou"]["value"] == pytest.approx(sum(found) / len(found))
    assert scores["mean_iou"]["low"] <= scores["mean_iou"]["value"] <= scores["mean_iou"]["high"]
    assert ("instance_mean_iou" in scores) == (name == "points")
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    for part in ("confusion matrix", "IoU", "Worst mistakes", "taken for", "evenly spread"):
        assert part in page, part


def everything(name: str, root: Path) -> FinetuneRecipe:
    """Every part of fine-tuning that segmentation shares and that has a state of its own."""
    return debug(
        name,
        root,
        steps=6,
        drop_path=0.2,
        ema_decay=0.9,
        label_share=0.5,
        frozen=Freeze(thaw=0.5),
        validation=Validation(share=0.2, every=2, patience=10),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_goes_on_bit_equal(
    name: str, sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = everything(name, sample_data)
    finetune(recipe, tmp_path / "whole")
    train_until(recipe, tmp_path / "killed", 3, monkeypatch)
    finetune(recipe, tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    whole, killed = (read_results(tmp_path / run) for run in ("whole", "killed"))
    assert whole["streams"] == killed["streams"]


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_on_one_batch_and_every_weight_learns(name: str, sample_data: Path) -> None:
    recipe = debug(name, sample_data, drop_path=0.0)
    recipe, start = take_encoder(fit_task(recipe), small_encoder(recipe))
    model = build_finetuned(recipe, start).train()
    (part,) = open_readers(recipe)
    batch = [part.train.held_out_group([0, 1])]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    falling, count = [], 0.0
    for _ in range(12):
        optimizer.zero_grad()
        found = model(batch).sums["label"]
        loss, count = found.total / found.count, float(found.count)
        loss.backward()
        falling.append(float(loss.detach()))
        optimizer.step()
    assert falling[-1] < 0.7 * falling[0]
    # Several processes wait for the gradient of whatever asks for one.
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert float(model.counts(batch)["label"]) == count


def test_a_sample_is_predicted_alone_as_in_a_batch(sample_data: Path) -> None:
    recipe = fit_task(debug("points", sample_data))
    model = build_finetuned(recipe)
    (part,) = open_readers(recipe)
    together = model.predict(part.train.held_out_group([0, 1, 2]))
    alone = model.predict(part.train.held_out_group([1]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.sum(dim=2), torch.ones(3, 512))


def test_a_frozen_encoder_stays_as_it_was(sample_data: Path, tmp_path: Path) -> None:
    recipe = debug("points", sample_data, frozen=Freeze(encoder=True))
    start = small_encoder(recipe)
    finetune(recipe, tmp_path / "run", encoder=save_encoder(start, tmp_path / "encoder"))
    trained = load_encoder(tmp_path / "run").state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in start.state_dict().items())


def test_low_rank_updates_learn(sample_data: Path, tmp_path: Path) -> None:
    recipe = debug("points", sample_data, lora=Lora(rank=2))
    finetune(recipe, tmp_path / "run", encoder=small_encoder(recipe))
    update = weights(tmp_path / "run")["backbone.encoder.blocks.0.attn.qkv.lora_B.default.weight"]
    assert update.abs().max() > 0


def test_a_loaded_run_predicts_places(sample_data: Path, tmp_path: Path) -> None:
    recipe = debug("image", sample_data)
    finetune(recipe, tmp_path / "run")
    model = load_classifier(tmp_path / "run")
    modality = model.recipe.modalities[0]
    source = recipe.data.streams[0].files["image"].open(str(sample_data), modality)
    samples = [{"image": source.read(i, Visit(key=0, augment=False))} for i in range(2)]
    assert model.predict(samples).shape == (2, 64 * 64, 10)
    assert model.outputs == segmentation.SCENE_CLASSES
    with pytest.raises(RecipeError, match="no one class per sample; use predict"):
        model.classes(samples)


def test_balanced_weights_count_the_training_places(sample_data: Path) -> None:
    recipe = debug("points", sample_data)
    recipe = replace(recipe, task=replace(recipe.task, weights="balanced"))  # pyright: ignore[reportArgumentType]  (a Segmentation)
    task = fit_task(recipe).task
    assert isinstance(task, segmentation.Segmentation)
    assert len(task.class_weights) == 8
    assert task.folders == ("chair", "mug", "table")


def test_recipes_come_back_from_json() -> None:
    for recipe in (segmentation.image(), segmentation.points()):
        assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_what_cannot_be_is_refused(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = debug("points", sample_data)
    stream = recipe.data.streams[0]
    only_points = replace(stream, files={"points": segmentation.PointFiles()})
    with pytest.raises(RecipeError, match="expected files of 'points' and 'parts', got"):
        replace(recipe, data=replace(recipe.data, streams=(only_points,)))
    with pytest.raises(RecipeError, match="has no use for mix, pooling"):
        replace(debug("image", sample_data), mix=Mix(mixup=0.5), pooling="cls")
    pictures = save_encoder(small_encoder(debug("image", sample_data)), tmp_path / "encoder")
    with pytest.raises(RecipeError, match="never saw 'points'"):
        finetune(recipe, tmp_path / "b", encoder=pictures)
    status = main(["finetune", "recipes.segmentation:nothing", "--out", str(tmp_path / "c")])
    assert status == 2
    assert "has no recipe 'nothing'" in capsys.readouterr().err
