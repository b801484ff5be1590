"""Imported encoders give the features of their source."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omnimask.batch import Group
from omnimask.cli import main
from omnimask.encoder_file import load_encoder
from omnimask.errors import RecipeError
from omnimask.importing.run import import_encoder
from omnimask.pretrained import PretrainedEncoder

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def shaken(model: Any) -> Any:
    """With every weight away from its initial value, so that none can be mistaken or left out."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def normalised(pixels: Tensor) -> Tensor:
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def features(encoder: PretrainedEncoder, raw: dict[str, Any]) -> Tensor:
    """[CLS], registers and tokens in order, (b n d)."""
    (name,) = encoder.modalities
    count = len(next(iter(raw.values())))
    keys = torch.zeros(count, dtype=torch.int64)
    with torch.no_grad():
        out = encoder(Group(stream="", raw={name: raw}, keys=keys, names=("",) * count))
    parts = [out.prefix[0], out.visible[0]]
    return torch.cat([part.reshape(count, -1, part.shape[1]) for part in parts], dim=1)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    difference = (ours - theirs).abs().max().item()
    print(f"largest difference {difference:.1e} of values up to {theirs.abs().max():.1f}")
    assert ours.shape == theirs.shape
    assert difference < 1e-5


def timm_vit(**fields: Any) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"img_size": (32, 48), "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    return shaken(VisionTransformer(**sizes, num_classes=0, **fields))


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


SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "image_size": (32, 48),
    "patch_size": 16,
}


@pytest.mark.parametrize("kind", ["ViT", "ViTMAE", "Dinov2", "Dinov2WithRegisters"])
def test_transformers_in_memory(kind: str):
    transformers = pytest.importorskip("transformers")
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


def clip() -> dict[str, Any]:
    frames = torch.randint(0, 256, (2, 4, 3, 32, 48), dtype=torch.uint8)
    return {"frames": frames, "num_frames": (4, 4), "real_frames": torch.tensor([4, 4])}


def video_model() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.VideoMAEConfig(**SIZES, num_frames=4, use_mean_pooling=False)
    return shaken(transformers.VideoMAEModel(config))


def test_video_mae_in_memory():
    model, raw = video_model(), clip()
    encoder = import_encoder(model, size=(4, 32, 48), mean=MEAN, std=STD)
    with torch.no_grad():
        theirs = model(normalised(raw["frames"].float() / 255)).last_hidden_state
    assert_equal(features(encoder, raw), theirs)


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
        ("blocks.0.attn.relative_position_bias_table", "relative position bias"),
        ("rope_embed.periods", "DINOv3"),
        ("blocks.0.mlp.w12.weight", "SwiGLU"),
        ("blocks.0.surprise", "not understood.*surprise"),
    ],
)
def test_what_cannot_be_exact_is_refused(tmp_path: Path, key: str, said: str):
    save_file(timm_vit().state_dict() | {key: torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(RecipeError, match=said):
        import_encoder(tmp_path / "x.safetensors", num_heads=2, size=(32, 48))


def test_point_mae_is_refused(tmp_path: Path):
    key = "module.MAE_encoder.blocks.blocks.0.norm1.weight"
    torch.save({"base_model": {key: torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(RecipeError, match="every block"):
        import_encoder(tmp_path / "x.pth")


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
