"""Imported encoders give the features of their source."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from omnimask.commands.main import main
from omnimask.foundation.errors import RecipeError
from omnimask.transfer.adapting import adapt
from omnimask.transfer.importing.run import import_encoder
from omnimask.transfer.loading import load_encoder
from tests.unit.importing_cases import (
    MEAN,
    SIZES,
    STD,
    assert_equal,
    clip,
    features,
    normalised,
    shaken,
    timm_vit,
    video_model,
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"init_values": 0.5},
        {"init_values": 0.5, "reg_tokens": 4, "no_embed_class": True},
        {"qkv_bias": False},
        {"class_token": False, "global_pool": ""},
    ],
    ids=["plain", "scale", "registers", "no_bias", "no_class"],
)
def test_timm_in_memory(fields: dict[str, Any]):
    model = timm_vit(**fields)
    encoder = import_encoder(model, size=(32, 48), mean=MEAN, std=STD)
    pixels = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        assert_equal(
            features(encoder, {"pixels": pixels}), model.forward_features(normalised(pixels))
        )


@pytest.mark.parametrize("kind", ["ViT", "ViTMAE", "Dinov2", "Dinov2WithRegisters"])
def test_transformers_in_memory(kind: str):
    transformers = importlib.import_module("transformers")
    dino = kind.startswith("Dino")
    sizes = {k: v for k, v in SIZES.items() if not (dino and k == "intermediate_size")}
    if dino:  # the token positions are resampled for other than square sizes
        sizes["image_size"] = 48
    if kind == "ViTMAE":
        sizes["mask_ratio"] = 0.0
    model = shaken(
        getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**sizes))
    )
    size = (48, 48) if dino else (32, 48)
    encoder = import_encoder(model, size=size, mean=MEAN, std=STD)
    pixels = torch.rand(2, 3, *size)
    with torch.no_grad():
        if kind == "ViTMAE":  # it shuffles: noise that rises keeps the order
            noise = torch.arange(6.0).expand(2, -1)
            theirs = model(normalised(pixels), noise=noise).last_hidden_state
        else:
            theirs = model(normalised(pixels)).last_hidden_state
    assert_equal(features(encoder, {"pixels": pixels}), theirs)


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_clip_in_memory(act: str):
    """The tokens through its last norm, which CLIP itself takes for [CLS] alone."""
    transformers = importlib.import_module("transformers")
    sizes = {k: v for k, v in SIZES.items() if k != "image_size"}
    config = transformers.CLIPVisionConfig(**sizes, image_size=48, hidden_act=act)
    model = shaken(transformers.CLIPVisionModel(config))
    encoder = import_encoder(model, mean=MEAN, std=STD)
    assert encoder.info.encoder.style.act == act
    pixels = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        tokens = model(normalised(pixels)).last_hidden_state
        inner = getattr(model, "vision_model", model)
        assert_equal(features(encoder, {"pixels": pixels}), inner.post_layernorm(tokens))


def test_openais_clip_and_that_of_transformers_are_the_same(tmp_path: Path):
    """The layout of openai/CLIP's files, text tower included."""
    transformers = importlib.import_module("transformers")
    sizes = {k: v for k, v in SIZES.items() if k != "image_size"}
    config = transformers.CLIPVisionConfig(**sizes, image_size=48)
    model = shaken(transformers.CLIPVisionModel(config))
    theirs = {}
    for key, value in model.state_dict().items():
        key = key.removeprefix("vision_model.")
        if key.endswith("position_ids"):
            continue
        if ".self_attn." in key and "out_proj" not in key:
            continue
        for old, new in (
            ("embeddings.class_embedding", "class_embedding"),
            ("embeddings.position_embedding.weight", "positional_embedding"),
            ("embeddings.patch_embedding", "conv1"),
            ("pre_layrnorm", "ln_pre"),
            ("post_layernorm", "ln_post"),
            ("encoder.layers", "transformer.resblocks"),
            ("self_attn.out_proj", "attn.out_proj"),
            ("layer_norm", "ln_"),
            ("mlp.fc1", "mlp.c_fc"),
            ("mlp.fc2", "mlp.c_proj"),
        ):
            key = key.replace(old, new)
        theirs[f"visual.{key}"] = value.clone()
    state = {key.removeprefix("vision_model."): v for key, v in model.state_dict().items()}
    for layer in range(2):
        block = f"encoder.layers.{layer}.self_attn"
        for kind in ("weight", "bias"):
            parts = [state[f"{block}.{name}_proj.{kind}"] for name in "qkv"]
            theirs[f"visual.transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
    text = {
        "positional_embedding": torch.zeros(7, 8),
        "transformer.resblocks.0.ln_1.weight": torch.ones(8),
    }
    save_file(theirs | text | {"visual.proj": torch.zeros(24, 8)}, tmp_path / "clip.safetensors")
    encoder = import_encoder(tmp_path / "clip.safetensors", num_heads=2)
    assert encoder.info.origin["format"] == "clip"
    assert encoder.info.modalities[0].mean == pytest.approx((0.481, 0.458, 0.408), abs=1e-3)
    other = import_encoder(
        model, mean=encoder.info.modalities[0].mean, std=encoder.info.modalities[0].std
    )
    raw = {"pixels": torch.rand(2, 3, 48, 48)}
    assert_equal(features(encoder, raw), features(other, raw))


def test_video_mae_in_memory():
    model, raw = video_model(), clip()
    encoder = import_encoder(model, size=(4, 32, 48), mean=MEAN, std=STD)
    with torch.no_grad():
        theirs = model(normalised(raw["frames"].float() / 255)).last_hidden_state
    assert_equal(features(encoder, raw), theirs)


def test_an_imported_encoder_adapts_to_another_size():
    from timm.layers.pos_embed import resample_abs_pos_embed

    model = timm_vit()
    encoder = import_encoder(model, size=(32, 48), mean=MEAN, std=STD)
    modality: Any = encoder.info.modalities[0]
    wider = replace(modality, size=(64, 64))
    adapted, lines = adapt(encoder, (wider,))
    assert any("positions" in line for line in lines)
    table = resample_abs_pos_embed(
        model.pos_embed.detach(), new_size=[4, 4], old_size=[2, 3], num_prefix_tokens=1
    )[0, 1:]
    found = adapted.state_dict()["backbone.places.positions.image.table"]
    torch.testing.assert_close(found, table, rtol=0, atol=1e-5)
    model.set_input_size(img_size=(64, 64))  # timm resamples its own table
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert_equal(
            features(adapted, {"pixels": pixels}), model.forward_features(normalised(pixels))
        )


def test_the_command_writes_an_encoder_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_file(timm_vit().state_dict(), tmp_path / "vit.safetensors")
    arguments = ["import", "auto", str(tmp_path / "vit.safetensors"), "--num-heads", "2"]
    out = tmp_path / "encoder"
    assert main([*arguments, "--size", "32", "48", "--out", str(out)]) == 0
    assert "timm: width 24, depth 2" in capsys.readouterr().out
    direct = import_encoder(tmp_path / "vit.safetensors", num_heads=2, size=(32, 48))
    assert load_encoder(out).hash() == direct.hash()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("blocks.0.attn.q_norm.weight", "RMS norm"),
        ("fc_norm.weight", "mean over the tokens"),
        ("modality_encoders.IMAGE.x", "data2vec 2.0"),
        ("blocks.0.surprise", "not understood.*surprise"),
    ],
)
def test_what_cannot_be_exact_is_refused(tmp_path: Path, key: str, said: str):
    save_file(timm_vit().state_dict() | {key: torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(RecipeError, match=said):
        import_encoder(tmp_path / "x.safetensors", num_heads=2, size=(32, 48))


def test_a_missing_key_is_named(tmp_path: Path):
    state = timm_vit().state_dict()
    del state["blocks.1.norm2.bias"]
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(RecipeError, match=r"blocks\.1\.norm2\.bias"):
        import_encoder(tmp_path / "x.safetensors", num_heads=2, size=(32, 48))


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, name: str):
    (tmp_path / name).write_text("hello")
    with pytest.raises(RecipeError, match="not a checkpoint"):
        import_encoder(tmp_path / name)


def test_an_unknown_format_names_the_nearest(tmp_path: Path):
    save_file(timm_vit().state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(RecipeError, match="mae"):
        import_encoder(tmp_path / "x.safetensors", "maee")
