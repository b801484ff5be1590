"""Files with the keys of official checkpoints, with random weights, give the same features."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.importing.run import import_encoder
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


def official_video_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As github.com/MCG-NJU/VideoMAE saves a pretraining model, written out by hand."""
    new = {
        f"encoder.patch_embed.proj.{k}": state[f"embeddings.patch_embeddings.projection.{k}"]
        for k in ("weight", "bias")
    }
    for layer in range(2):
        ours, theirs = f"encoder.blocks.{layer}.", f"encoder.layer.{layer}."
        attention = theirs + "attention.attention."
        new[ours + "attn.qkv.weight"] = torch.cat(
            [state[f"{attention}{name}.weight"] for name in ("query", "key", "value")]
        )
        new[ours + "attn.q_bias"] = state[attention + "query.bias"]
        new[ours + "attn.v_bias"] = state[attention + "value.bias"]
        for mine, other in (
            ("attn.proj", "attention.output.dense"),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            for kind in ("weight", "bias"):
                new[f"{ours}{mine}.{kind}"] = state[f"{theirs}{other}.{kind}"]
    new |= {f"encoder.norm.{k}": state[f"layernorm.{k}"] for k in ("weight", "bias")}
    decoder = {"encoder_to_decoder.weight": torch.zeros(8, 24), "mask_token": torch.zeros(1, 1, 8)}
    return new | decoder | {"decoder.norm.weight": torch.zeros(8)}


def test_video_mae_official_file(tmp_path: Path):
    model, raw = video_model(), clip()
    model.config.layer_norm_eps = 1e-6
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": official_video_keys(model.state_dict()), "epoch": 1}, path)
    encoder = import_encoder(path, num_heads=2, size=(4, 32, 48), mean=MEAN, std=STD)
    assert encoder.info.origin["format"] == "videomae"
    with torch.no_grad():
        theirs = model(normalised(raw["frames"].float() / 255)).last_hidden_state
    assert_equal(features(encoder, raw), theirs)


def test_a_learned_table_of_video_mae_is_not_taken_for_its_sines(tmp_path: Path):
    state = official_video_keys(video_model().state_dict())
    state["encoder.pos_embed"] = torch.zeros(1, 12, 24)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(RecipeError, match=r"not understood.*pos_embed"):
        import_encoder(tmp_path / "x.safetensors", num_heads=2, size=(4, 32, 48))


def test_video_mae_layer_scale_keys(tmp_path: Path):
    state = official_video_keys(video_model().state_dict())
    scales = {f"encoder.blocks.{i}.gamma_{j}": torch.rand(24) for i in (0, 1) for j in (1, 2)}
    save_file(state | scales, tmp_path / "x.safetensors")
    encoder = import_encoder(tmp_path / "x.safetensors", num_heads=2, size=(4, 32, 48))
    found = encoder.state_dict()["backbone.encoder.blocks.1.scale2.gamma"]
    assert torch.equal(found, scales["encoder.blocks.1.gamma_2"])


@pytest.mark.parametrize(
    ("kind", "name", "eps"),
    [
        ("ViTMAEForPreTraining", "transformers", 1e-12),
        ("VideoMAEForPreTraining", "transformers-video", 1e-12),
        ("Dinov2Model", "transformers-dinov2", 1e-6),
    ],
)
def test_transformers_files(tmp_path: Path, kind: str, name: str, eps: float):
    transformers = importlib.import_module("transformers")
    config_class = getattr(transformers, kind).config_class
    sizes = {k: v for k, v in SIZES.items() if name != "transformers-dinov2" or "size" not in k}
    config = config_class(**sizes | {"hidden_size": 24, "image_size": 32, "patch_size": 16})
    config.use_mean_pooling = False  # VideoMAE's norm is left out otherwise
    model = shaken(getattr(transformers, kind)(config))
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    size = (16, 32, 32) if name == "transformers-video" else (32, 32)
    fields: dict[str, Any] = {"num_heads": 2, "size": size, "mean": MEAN, "std": STD}
    encoder = import_encoder(tmp_path / "x.safetensors", **fields)
    assert encoder.info.origin["format"] == name
    assert encoder.info.encoder.style.norm_eps == eps == config.layer_norm_eps
    direct = import_encoder(model, **fields).state_dict()
    assert all(torch.equal(direct[key], value) for key, value in encoder.state_dict().items())


def test_mae_file_with_a_decoder(tmp_path: Path):
    model = timm_vit()
    state = model.state_dict() | {"decoder_embed.weight": torch.zeros(8, 24)}
    path = tmp_path / "mae.pth"
    torch.save({"model": state | {"mask_token": torch.zeros(1, 1, 8)}}, path)
    encoder = import_encoder(path, num_heads=2, size=(32, 48), mean=MEAN, std=STD)
    assert encoder.info.origin["format"] == "mae"
    pixels = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        assert_equal(
            features(encoder, {"pixels": pixels}), model.forward_features(normalised(pixels))
        )


def test_audio_mae_file(tmp_path: Path):
    model = timm_vit(in_chans=1)
    torch.save({"model": model.state_dict()}, tmp_path / "audio.pth")
    encoder = import_encoder(tmp_path / "audio.pth", num_heads=2, size=(32, 48))
    assert encoder.info.origin["format"] == "audiomae"
    logmel = torch.randn(2, 32, 48)
    raw = {"logmel": logmel, "num_frames": (32, 32), "real_frames": torch.tensor([32, 32])}
    with torch.no_grad():
        theirs = model.forward_features(((logmel + 4.2677393) / (4.5689974 * 2))[:, None])
    assert_equal(features(encoder, raw), theirs)


def test_dinov2_official_file(tmp_path: Path):
    model = timm_vit(init_values=0.5, reg_tokens=4)
    state = model.state_dict()
    table = state["pos_embed"]  # timm gives registers places too, the official code does not
    state["register_tokens"] = state.pop("reg_token") + table[:, 1:5]
    state["pos_embed"] = torch.cat([table[:, :1], table[:, 5:]], dim=1)
    state["mask_token"] = torch.zeros(1, 24)
    save_file(state, tmp_path / "dino.safetensors")
    encoder = import_encoder(
        tmp_path / "dino.safetensors", num_heads=2, size=(32, 48), mean=MEAN, std=STD
    )
    assert encoder.info.origin["format"] == "dinov2"
    pixels = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        assert_equal(
            features(encoder, {"pixels": pixels}), model.forward_features(normalised(pixels))
        )


def test_dinov2_training_file_in_chunks(tmp_path: Path):
    """The teacher that facebookresearch/dinov2 saves: backbone., block chunks and heads."""
    state = timm_vit(init_values=0.5).state_dict()
    chunked = {
        "backbone." + key.replace("blocks.0.", "blocks.0.0.").replace("blocks.1.", "blocks.1.1."): v
        for key, v in state.items()
    } | {"backbone.mask_token": torch.zeros(1, 24), "dino_head.mlp.weight": torch.zeros(2, 2)}
    torch.save({"teacher": chunked}, tmp_path / "teacher.pth")
    save_file(state, tmp_path / "plain.safetensors")
    fields: dict[str, Any] = {"num_heads": 2, "size": (32, 48)}
    encoder = import_encoder(tmp_path / "teacher.pth", **fields)
    assert encoder.info.origin["format"] == "dinov2"
    plain = import_encoder(tmp_path / "plain.safetensors", **fields).state_dict()
    assert all(torch.equal(plain[key], value) for key, value in encoder.state_dict().items())
