"""Segmentation of pictures and clouds, end to end, from an encoder with random weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modalities.image import ImagePatches
from omnimask import RecipeError
from omnimask.checkpoint import last_checkpoint
from omnimask.cli import main
from omnimask.data import StreamReader
from omnimask.encoder import Encoder
from omnimask.encoder_file import save_encoder
from omnimask.pretrained import EncoderInfo, PretrainedEncoder
from omnimask.records import from_json, to_json
from omnimask.segmentation import Segmentation, load_segmentation, segment
from omnimask.segmentation.evaluate import score
from recipes import segmentation

QUIET = {"num_workers": 0, "tracker": "none", "log_every": 2, "report_samples": 2}


def debug(name: str, root: Path, steps: int = 4) -> Segmentation:
    recipe: Segmentation = getattr(segmentation, name)()
    streams = tuple(replace(stream, batch_size=4) for stream in recipe.data.streams)
    return replace(
        recipe,
        data=replace(recipe.data, root=str(root), streams=streams),
        optim=replace(recipe.optim, steps=steps, warmup_steps=1),
        run=replace(recipe.run, checkpoint_every=2, **QUIET),
    )


def small_encoder(recipe: Segmentation) -> PretrainedEncoder:
    """Pretrained, as it were, on pictures of half the size."""
    modality = recipe.input
    if isinstance(modality, ImagePatches):
        modality = replace(modality, size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
    config = Encoder(width=32, depth=3, num_heads=2)
    info = EncoderInfo(name="small", modalities=(modality,), encoder=config, origin={})
    torch.manual_seed(0)
    return PretrainedEncoder(info)


@pytest.mark.parametrize("name", ["image", "points"])
def test_a_run_learns_scores_and_draws_and_goes_on_where_it_was(
    name: str, sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = debug(name, sample_data)
    encoder = save_encoder(small_encoder(recipe), tmp_path / "encoder")
    segment(recipe, encoder, tmp_path / "whole")
    printed = capsys.readouterr().out
    assert ("64x64" in printed or "16x16 cells" in printed) == (name == "image")
    assert "mean IoU" in printed
    result = json.loads((tmp_path / "whole" / "segmentation.json").read_text())
    assert set(result["per_class"]) == set(recipe.labels.class_names)
    assert ("parts" in result) == (name == "points")
    assert result["split"] == "held-out"
    assert (tmp_path / "whole" / "segmentation.png").stat().st_size > 1000

    first_half = replace(recipe, run=replace(recipe.run, checkpoint_every=2))
    segment(first_half, encoder, tmp_path / "resumed")
    last = last_checkpoint(tmp_path / "resumed")
    for path in last.iterdir():
        path.unlink()
    last.rmdir()  # as if it had been stopped after two steps
    segment(recipe, encoder, tmp_path / "resumed")
    whole, resumed = (load_segmentation(tmp_path / run) for run in ("whole", "resumed"))
    own = resumed.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in whole.state_dict().items())
    assert score(whole)["mean_iou"] == pytest.approx(result["mean_iou"])


@pytest.mark.parametrize("name", ["image", "points"])
def test_the_loss_falls_on_one_batch_and_every_weight_learns(name: str, sample_data: Path) -> None:
    from omnimask.segmentation.model import SegmentationModel

    recipe = debug(name, sample_data)
    start = small_encoder(recipe)
    fitted = recipe.input
    if isinstance(fitted, ImagePatches):
        fitted = replace(fitted, mean=(0.5,) * 3, std=(0.25,) * 3)
    recipe = replace(recipe, input=fitted, encoder=start.info.encoder, drop_path=0.0)
    model = SegmentationModel(recipe)
    group = StreamReader(recipe.data.streams[0], recipe.data.streams[0].files, recipe)
    batch = [group.held_out_group([0, 1])]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses, count = [], 0.0
    for _ in range(12):
        optimizer.zero_grad()
        part = model(batch).sums["segmentation"]
        loss, count = part.total / part.count, float(part.count)
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    without = [
        n for n, p in model.named_parameters() if p.grad is None and "encoder.prefix" not in n
    ]
    # The final norm is passed by: the head reads blocks.
    assert all("backbone.encoder.norm" in n for n in without)
    assert float(model.counts(batch)["segmentation"]) == count


def test_a_frozen_encoder_stays_as_it_was(sample_data: Path, tmp_path: Path) -> None:
    recipe = replace(debug("points", sample_data), freeze=True)
    start = small_encoder(recipe)
    segment(recipe, save_encoder(start, tmp_path / "encoder"), tmp_path / "run")
    trained = load_segmentation(tmp_path / "run").encoder.state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in start.state_dict().items())


def test_recipes_come_back_from_json() -> None:
    for recipe in (segmentation.image(), segmentation.points()):
        assert from_json(to_json(recipe)) == recipe


def test_what_cannot_be_is_refused(
    sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = debug("points", sample_data)
    with pytest.raises(RecipeError, match="name one, or set `encoder`"):
        segment(recipe, None, tmp_path / "a")
    with pytest.raises(RecipeError, match="one number per class, 8, got 2"):
        replace(recipe, loss=replace(recipe.loss, class_weights=(1.0, 2.0)))
    only_points = replace(
        recipe.data.streams[0], held_out=None, files={"points": segmentation.PointFiles()}
    )
    data = replace(recipe.data, streams=(only_points,))
    with pytest.raises(RecipeError, match="expected files of 'points' and 'parts', got"):
        replace(recipe, data=data)
    pictures = save_encoder(small_encoder(debug("image", sample_data)), tmp_path / "encoder")
    with pytest.raises(RecipeError, match="never saw 'points'"):
        segment(recipe, pictures, tmp_path / "b")
    status = main(["finetune", "recipes.segmentation:nothing", "--out", str(tmp_path / "c")])
    assert status == 2
    assert "has no recipe 'nothing'" in capsys.readouterr().err
