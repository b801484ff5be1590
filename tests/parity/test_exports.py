"""Exports of one mixed encoder of six modalities, read back by the libraries they are for."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import recipes.mae
from modalities.image import ImagePatches
from modalities.video import VideoTubelets
from omnimask import DataError, RecipeError, export, iter_embeddings, save_encoder
from omnimask.network.blocks import BlockStyle
from omnimask.network.encoder import Encoder
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.modality import Visit
from omnimask.training.fitting import fit
from omnimask.transfer.embedding.vectors import Embedding
from omnimask.transfer.exporting import graph_inputs
from omnimask.transfer.exporting.features import collate_samples, own_features
from omnimask.transfer.exporting.front import front_of
from omnimask.transfer.exporting.pictures import normalise, pixels_in, statistics
from omnimask.transfer.pretrained_encoder import PretrainedEncoder
from recipes.sample_modalities import sample_modality
from recipes.small import MODALITIES, merge, small_recipe
from tests.unit.export_cases import read, scattered

ROOT = Path(__file__).resolve().parents[2]
SMALL = Encoder(width=48, depth=2, num_heads=2)
SCALED = BlockStyle(layer_scale=0.3, mlp_ratio=2.0)


@pytest.fixture(scope="module")
def recipe(sample_data: Path) -> Recipe:
    """Of every modality of the sample data."""
    parts = merge({name: recipes.mae.parts(name) for name in MODALITIES})
    recipe = small_recipe("every", parts, MODALITIES)
    return fit(replace(recipe, data=replace(recipe.data, root=str(sample_data))))


@pytest.fixture(scope="module")
def mixed(recipe: Recipe) -> PretrainedEncoder:
    return scattered(recipe.modalities, SMALL)


def image_of(recipe: Recipe) -> ImagePatches:
    image = recipe.modality("image")
    assert isinstance(image, ImagePatches)
    return image


def video_of(recipe: Recipe) -> VideoTubelets:
    video = recipe.modality("video")
    assert isinstance(video, VideoTubelets)
    return video


def files_of(sample_data: Path, modality: str) -> list[Path]:
    """Of those series that say their rate, since an encoder alone cannot."""
    folder = sample_data / sample_modality(modality).folder / "held_out"
    return sorted(folder.rglob("*.npz")) if modality == "skeleton" else [folder]


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_graph_of_samples_begins_with_the_modalitys_own_tokens(recipe: Recipe, modality: str):
    record = recipe.modality(modality)
    front, samples = front_of(record, "samples"), read(recipe, modality, count=3)
    values, coords, valid = front.tokens(front.inputs(samples))
    expected = record.split(front.reference(samples))
    assert torch.equal(coords, expected.coords)
    assert torch.equal(valid, expected.valid)
    torch.testing.assert_close(values, expected.values, atol=1e-5, rtol=1e-5)


def test_the_documents_example_gives_the_vector_of_embed(
    sample_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The ONNX file is made from an encoder folder and the user's files."""
    image = ImagePatches(size=(32, 32), patch=(8, 8), mean=(0.4,) * 3, std=(0.3,) * 3)
    encoder = scattered((image,), replace(SMALL, depth=1))
    monkeypatch.chdir(tmp_path)
    source = save_encoder(encoder, Path("encoder"))
    photos = sorted((sample_data / "images" / "held_out").rglob("*.png"))
    (parity,) = export(source, format="onnx", out="onnx", samples=photos[:2]).parity
    assert parity.samples == 2
    blocks = (ROOT / "docs/transfer/export.md").read_text().split("```python\n")[1:]
    (code,) = [block.partition("```")[0] for block in blocks if "from PIL" in block]
    shutil.copy(photos[2], "photo.png")
    names: dict[str, Any] = {}
    exec(code, names)
    (found,) = iter_embeddings(source, ["photo.png"])
    assert isinstance(found, Embedding)
    torch.testing.assert_close(
        torch.tensor(names["vector"]), torch.tensor(found.vector), atol=1e-5, rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_onnx_of_every_modality_in_onnxruntime(
    mixed: PretrainedEncoder, sample_data: Path, modality: str, tmp_path: Path
):
    (parity,) = export(
        save_encoder(mixed, tmp_path / "encoder"),
        format="onnx",
        out=tmp_path / "out",
        modality=modality,
        samples=files_of(sample_data, modality),
    ).parity
    assert parity.largest < 1e-4
    assert parity.samples > 1


@pytest.mark.slow
@torch.no_grad()
def test_a_cloud_of_fewer_points_needs_no_padding(
    mixed: PretrainedEncoder, recipe: Recipe, tmp_path: Path
):
    samples = read(recipe, "points", count=2)
    given = {"points": samples}
    export(mixed, format="torch", out=tmp_path / "out", modality="points", samples=given)
    few = [{name: part[:70] for name, part in sample.items()} for sample in samples]
    inputs = graph_inputs(tmp_path / "out", "points", few)
    module = torch.export.load(tmp_path / "out" / "points.pt2").module()
    pooled = module(*(part[:, :70] for part in inputs.values()))[0]
    expected = mixed.embed([{"points": sample} for sample in few])
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)


def test_what_is_no_file_of_the_modality_is_said(mixed: PretrainedEncoder, tmp_path: Path):
    def refused(path: Path, message: str) -> None:
        with pytest.raises(DataError, match=message):
            export(folder, format="torch", out=tmp_path / "out", modality="image", samples=[path])

    folder = save_encoder(mixed, tmp_path / "encoder")
    refused(tmp_path / "gone", r"there is no .*gone; name files or folders")
    refused(folder, r"holds no image; expected files ending in .*\.png")


@pytest.mark.parametrize("format", ["encoder", pytest.param("torch", marks=pytest.mark.slow)])
def test_all_modalities_of_a_mixed_encoder(
    mixed: PretrainedEncoder, recipe: Recipe, format: str, tmp_path: Path
):
    given = {name: read(recipe, name, count=2) for name in MODALITIES}
    exported = export(mixed, format=format, out=tmp_path / "out", samples=given)
    assert [p.modality for p in exported.parity] == list(MODALITIES)
    assert all(p.largest < 1e-5 for p in exported.parity)


TIMM = {
    "plain": SMALL,
    "registers and layer scale": replace(SMALL, num_registers=3, style=SCALED),
    "no prefix": replace(SMALL, class_token=False),
}


@pytest.mark.parametrize("config", TIMM.values(), ids=TIMM)
@torch.no_grad()
def test_timm_creates_the_model(recipe: Recipe, config: Encoder, tmp_path: Path):
    import timm

    image = replace(image_of(recipe), positions="learned", patch=(4, 8))
    encoder = scattered((image,), config)
    samples = collate_samples(image, read(recipe, "image", count=4), "held out")
    out = export(encoder, format="timm", out=tmp_path / "out", samples=held_out(recipe)).folder
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    settings = timm.data.resolve_model_data_config(model)
    pixels = normalise(pixels_in(image, samples.raw), settings["mean"], settings["std"])
    expected = own_features(encoder, samples)
    torch.testing.assert_close(model(pixels), expected["pooled"], atol=1e-5, rtol=1e-5)
    tokens = model.forward_features(pixels)[:, config.num_prefix :]
    torch.testing.assert_close(tokens, expected["tokens"], atol=1e-5, rtol=1e-5)
    assert settings["input_size"] == (3, *image.size)


def held_out(recipe: Recipe):
    return {name: read(recipe, name, count=4) for name in ("image", "video")}


@pytest.mark.parametrize("style", [BlockStyle(), SCALED], ids=["plain", "layer scale"])
@torch.no_grad()
def test_vit_mae_from_pretrained(recipe: Recipe, style: BlockStyle, tmp_path: Path):
    import transformers

    image = image_of(recipe)
    encoder = scattered((image,), replace(SMALL, style=style))
    samples = collate_samples(image, read(recipe, "image", count=4), "held out")
    given = held_out(recipe)
    out = export(encoder, format="transformers", out=tmp_path / "out", samples=given).folder
    model = transformers.ViTMAEModel.from_pretrained(out).eval()
    mean, std = statistics(image, name="image", of="")
    noise = torch.arange(image.num_tokens).float().expand(4, -1)
    hidden = model(normalise(pixels_in(image, samples.raw), mean, std), noise=noise)[0]
    expected = own_features(encoder, samples)
    torch.testing.assert_close(hidden[:, 1:], expected["tokens"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hidden[:, 0], expected["class_token"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(48, 48), (48, 24)])
@torch.no_grad()
def test_video_mae_from_pretrained_with_our_positions(
    recipe: Recipe, size: tuple[int, int], tmp_path: Path
):
    import transformers

    video = replace(video_of(recipe), size=size)
    encoder = scattered((video,), replace(SMALL, class_token=False, style=SCALED))
    files = recipe.data.streams[1].held_out
    assert files is not None
    source = files["video"].open(recipe.data.root, video)
    clips = [source.read(i, Visit(key=0, augment=False)) for i in range(3)]
    samples = collate_samples(video, clips, "held out")
    out = export(
        encoder, format="transformers", out=tmp_path / "out", samples={"video": clips}
    ).folder
    model = transformers.VideoMAEModel.from_pretrained(out).eval()
    model.embeddings.position_embeddings = load_file(out / "positions.safetensors")["positions"]
    mean, std = statistics(video, name="video", of="")
    tokens = model(normalise(pixels_in(video, samples.raw), mean, std))[0]
    expected = own_features(encoder, samples)["tokens"]
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)
    assert "model.embeddings.position_embeddings = positions" in (out / "README.md").read_text()


def test_video_mae_needs_no_positions_where_it_has_the_same(recipe: Recipe, tmp_path: Path):
    import transformers

    video = video_of(recipe)
    encoder = scattered((video,), replace(SMALL, class_token=False))
    config = transformers.VideoMAEConfig(
        hidden_size=48, image_size=48, patch_size=8, num_frames=8, num_hidden_layers=1
    )
    table = transformers.VideoMAEModel(config).embeddings.position_embeddings[0]
    encoder.backbone.places.positions["video"] = Table(table, video.grid)
    exported = export(
        encoder, format="transformers", out=tmp_path / "out", samples=held_out(recipe)
    )
    assert exported.parity[0].largest < 1e-5
    assert not (exported.folder / "positions.safetensors").exists()


class Table(torch.nn.Module):
    """Positions that are looked up by the number of the token."""

    def __init__(self, rows: torch.Tensor, grid) -> None:
        super().__init__()
        self.rows, self.sizes = rows, tuple(grid.values())

    def forward(self, coords: torch.Tensor) -> torch.Tensor:
        t, h, w = coords.long().unbind(1)
        return self.rows[(t * self.sizes[1] + h) * self.sizes[2] + w]


REFUSED = [
    ("timm", replace(SMALL, positions="rotary"), r"timm's.*positions='rotary'; "),
    ("timm", replace(SMALL, style=BlockStyle(swiglu=True)), r"no blocks with swiglu=True"),
    ("transformers", replace(SMALL, positions="both"), r"ViTMAEModel adds.*positions='both'"),
    ("transformers", replace(SMALL, num_registers=2), r"no registers.*num_registers=2; .*timm too"),
    ("transformers", replace(SMALL, class_token=False), r"has a \[CLS\].*class_token=False"),
    ("transformers", replace(SMALL, style=BlockStyle(qk_norm=True)), r"no blocks with qk_norm"),
]


@pytest.mark.parametrize(("format", "config", "message"), REFUSED)
def test_an_encoder_that_a_format_cannot_hold_is_refused(
    recipe: Recipe, format: str, config: Encoder, message: str, tmp_path: Path
):
    encoder = scattered((recipe.modality("image"),), config)
    with pytest.raises(RecipeError, match=message):
        export(encoder, format=format, out=tmp_path / "out", samples=held_out(recipe))
    assert list(tmp_path.iterdir()) == []


def test_modalities_that_a_format_cannot_hold_are_refused(
    mixed: PretrainedEncoder, recipe: Recipe, tmp_path: Path
):
    given = {name: read(recipe, name, count=2) for name in MODALITIES}
    given["depth"] = given["image"]

    def refused(encoder: PretrainedEncoder, format: str, modality: str, message: str) -> None:
        with pytest.raises(RecipeError, match=message):
            export(encoder, format=format, out=tmp_path / "out", modality=modality, samples=given)

    refused(mixed, "timm", "audio", r"takes images, but 'audio' is a AudioSpectrogram")
    refused(mixed, "timm", "video", r"takes images, but 'video' is a VideoTubelets")
    refused(mixed, "transformers", "points", r"'points' is a PointGroups")
    refused(mixed, "transformers", "video", r"neither \[CLS\] nor registers.*class_token=False")
    image = image_of(recipe)
    each = replace(image, name="depth", mean=None, std=None, standardise="each")
    refused(scattered((each,), SMALL), "timm", "depth", r"'depth' has none \(every sample")
    oblong = replace(image, patch=(4, 8))
    refused(scattered((oblong,), SMALL), "transformers", "image", r"square images.*patch=\(4, 8\)")


HEAVY = ("decord", "torchcodec", "torchaudio", "open3d", "pandas", "sklearn", "matplotlib")


def test_an_encoder_folder_is_used_without_heavy_packages(
    mixed: PretrainedEncoder, recipe: Recipe, tmp_path: Path
):
    given = {name: read(recipe, name, count=2) for name in MODALITIES}
    out = export(mixed, format="encoder", out=tmp_path / "out", samples=given).folder
    torch.save(given["image"][0]["pixels"], tmp_path / "pixels.pt")
    expected = mixed.embed([{"image": given["image"][0]}])
    code = (
        "import sys, torch, omnimask\n"
        f"encoder = omnimask.load_encoder({str(out)!r})\n"
        f"pixels = torch.load({str(tmp_path / 'pixels.pt')!r})\n"
        "print(encoder.embed([{'image': {'pixels': pixels}}])[0].tolist())\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    vector, modules = result.stdout.splitlines()
    assert not set(HEAVY) & set(modules.split())
    torch.testing.assert_close(torch.tensor([json.loads(vector)]), expected)
