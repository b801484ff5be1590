"""Imports of encoders with a bias of distances, rotary positions, and places in every block."""

import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.transfer.adapting import adapt
from omnimask.transfer.importing.run import import_encoder
from tests.unit.importing_cases import (
    MEAN,
    SIZES,
    STD,
    assert_equal,
    features,
    normalised,
    shaken,
)

FIELDS: dict[str, Any] = {"mean": MEAN, "std": STD, "num_heads": 2}
SQUARE = {**SIZES, "image_size": 48}


def transformers_model(kind: str, **fields: Any) -> Any:
    transformers = importlib.import_module("transformers")
    config = getattr(transformers, f"{kind}Config")(**{**SQUARE, **fields})
    return shaken(getattr(transformers, f"{kind}Model")(config))


def compare(model: Any, encoder: Any, size: tuple[int, int] = (48, 48)) -> None:
    pixels = torch.rand(2, 3, *size)
    with torch.no_grad():
        theirs = model(normalised(pixels)).last_hidden_state
    assert_equal(features(encoder, {"pixels": pixels}), theirs)


@pytest.mark.parametrize("kind", ["Beit", "Data2VecVision"])
@pytest.mark.parametrize("bias", ["", "shared_"])
@pytest.mark.parametrize("places", [False, True])
def test_bias_of_distances(tmp_path: Path, kind: str, bias: str, places: bool):
    model = transformers_model(
        kind,
        use_mean_pooling=False,
        use_absolute_position_embeddings=places,
        **{f"use_{bias}relative_position_bias": True},
    )
    encoder = import_encoder(model, **FIELDS)
    assert encoder.info.encoder.relative_bias
    assert encoder.info.encoder.positions == ("additive" if places else "none")
    compare(model, encoder)
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    read = import_encoder(tmp_path / "x.safetensors", **FIELDS)
    assert read.info.origin["format"] == "transformers-beit"
    assert read.info.modalities == encoder.info.modalities  # its size is in the table


def official_beit_keys(state: dict[str, Tensor], *, shared: bool) -> dict[str, Tensor]:
    """As microsoft/unilm's beit2 and facebookresearch/data2vec_vision save a pretraining model,
    written out by hand from those of transformers' Data2VecVision."""
    new = {
        "cls_token": state["embeddings.cls_token"],
        "mask_token": torch.zeros(1, 1, 24),
        "lm_head.weight": torch.zeros(8, 24),
        "cls_pt_layers.0.norm1.weight": torch.zeros(24),
        "norm.weight": state["layernorm.weight"],
        "norm.bias": state["layernorm.bias"],
    }
    for kind in ("weight", "bias"):
        new[f"patch_embed.proj.{kind}"] = state[f"embeddings.patch_embeddings.projection.{kind}"]
    for layer in range(2):
        ours, theirs = f"blocks.{layer}.", f"encoder.layer.{layer}."
        attention = theirs + "attention.attention."
        new[ours + "attn.qkv.weight"] = torch.cat(
            [state[f"{attention}{name}.weight"] for name in ("query", "key", "value")]
        )
        new[ours + "attn.q_bias"] = state[attention + "query.bias"]
        new[ours + "attn.v_bias"] = state[attention + "value.bias"]
        if not shared:
            table = attention + "relative_position_bias.relative_position_bias_table"
            new[ours + "attn.relative_position_bias_table"] = state[table]
            new[ours + "attn.relative_position_index"] = torch.zeros(10, 10)
        for number in (1, 2):
            new[f"{ours}gamma_{number}"] = state[f"{theirs}lambda_{number}"]
        for mine, other in (
            ("attn.proj", "attention.output.dense"),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            for kind in ("weight", "bias"):
                new[f"{ours}{mine}.{kind}"] = state[f"{theirs}{other}.{kind}"]
    if shared:
        table = "encoder.relative_position_bias.relative_position_bias_table"
        new["rel_pos_bias.relative_position_bias_table"] = state[table]
        new["rel_pos_bias.relative_position_index"] = torch.zeros(10, 10)
    return new


@pytest.mark.parametrize("shared", [False, True])
def test_official_files_of_beit(tmp_path: Path, shared: bool):
    bias = "use_shared_relative_position_bias" if shared else "use_relative_position_bias"
    model = transformers_model(
        "Data2VecVision", use_mean_pooling=False, layer_norm_eps=1e-6, **{bias: True}
    )
    path = tmp_path / "x.pth"
    torch.save({"model": official_beit_keys(model.state_dict(), shared=shared)}, path)
    encoder = import_encoder(path, **FIELDS)
    assert encoder.info.origin["format"] == "beit"
    compare(model, encoder)


def test_beit_of_timm():
    from timm.models.beit import Beit

    model = shaken(
        Beit(
            img_size=(32, 48),
            embed_dim=24,
            depth=2,
            num_heads=2,
            num_classes=0,
            global_pool="token",
            init_values=0.5,
            use_abs_pos_emb=False,
            use_rel_pos_bias=True,
        )
    )
    encoder = import_encoder(model, size=(32, 48), mean=MEAN, std=STD)
    pixels = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        theirs = model.forward_features(normalised(pixels))
    assert_equal(features(encoder, {"pixels": pixels}), theirs)


def test_a_bias_for_another_size_is_read_between_the_old_distances():
    model = transformers_model(
        "Beit", use_mean_pooling=False, use_relative_position_bias=True, image_size=64
    )
    encoder = import_encoder(model, **FIELDS)
    modality: Any = encoder.info.modalities[0]
    finer, lines = adapt(encoder, (replace(modality, size=(128, 128)),))
    assert any("distances" in line for line in lines)
    name = "backbone.encoder.blocks.1.attn.relative"
    old, new = (e.state_dict()[name] for e in (encoder, finer))
    assert torch.equal(old[:4], new[:4])
    # A step of two new cells is one of the old ones; odd steps are halfway between two.
    old, new = old[4:].unflatten(0, (7, 7)), new[4:].unflatten(0, (15, 15))
    torch.testing.assert_close(new[1::2, 1::2], old)
    torch.testing.assert_close(new[2, 1], (old[0, 0] + old[1, 0]) / 2)
    same, lines = adapt(encoder, (modality,))
    assert not lines
    assert same.hash() == encoder.hash()


def dinov3_model(gated: bool) -> Any:
    act = "silu" if gated else "gelu"
    return transformers_model(
        "DINOv3ViT", num_register_tokens=3, use_gated_mlp=gated, hidden_act=act
    )


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("size", [(48, 48), (32, 64)])
def test_dinov3_of_transformers(tmp_path: Path, gated: bool, size: tuple[int, int]):
    model = dinov3_model(gated)
    encoder = import_encoder(model, size=size, **FIELDS)
    assert encoder.info.encoder.positions == "rotary"
    compare(model, encoder, size)
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    read = import_encoder(tmp_path / "x.safetensors", size=size, **FIELDS)
    assert read.info.origin["format"] == "transformers-dinov3"
    compare(model, read, size)
    modality: Any = encoder.info.modalities[0]
    adapted, _ = adapt(encoder, (replace(modality, size=(64, 32)),))
    compare(model, adapted, (64, 32))  # coordinates always run from -1 to 1


@pytest.mark.parametrize("gated", [False, True])
def test_official_files_of_dinov3(tmp_path: Path, gated: bool):
    """As facebookresearch/dinov3 saves a backbone, from the weights of transformers."""
    model = dinov3_model(gated)
    state = model.state_dict()
    new = {
        "cls_token": state["embeddings.cls_token"],
        "storage_tokens": state["embeddings.register_tokens"],
        "mask_token": state["embeddings.mask_token"][0],
        "patch_embed.proj.weight": state["embeddings.patch_embeddings.weight"],
        "patch_embed.proj.bias": state["embeddings.patch_embeddings.bias"],
        "rope_embed.periods": (100 ** (torch.arange(3) / 3)).bfloat16(),
        "norm.weight": state["norm.weight"],
        "norm.bias": state["norm.bias"],
        "local_cls_norm.weight": torch.zeros(24),
    }
    for layer in range(2):
        ours, theirs = f"blocks.{layer}.", f"model.layer.{layer}."
        bias = [state[f"{theirs}attention.{name}_proj.bias"] for name in "qv"]
        new[ours + "attn.qkv.weight"] = torch.cat(
            [state[f"{theirs}attention.{name}_proj.weight"] for name in "qkv"]
        )
        new[ours + "attn.qkv.bias"] = torch.cat([bias[0], torch.full((24,), torch.nan), bias[1]])
        mask = torch.cat([torch.ones(24), torch.zeros(24), torch.ones(24)])
        new[ours + "attn.qkv.bias_mask"] = mask
        mlp = (
            [("mlp.w1", "mlp.gate_proj"), ("mlp.w2", "mlp.up_proj"), ("mlp.w3", "mlp.down_proj")]
            if gated
            else [("mlp.fc1", "mlp.up_proj"), ("mlp.fc2", "mlp.down_proj")]
        )
        for mine, other in (
            ("attn.proj", "attention.o_proj"),
            ("norm1", "norm1"),
            ("norm2", "norm2"),
            *mlp,
        ):
            for kind in ("weight", "bias"):
                new[f"{ours}{mine}.{kind}"] = state[f"{theirs}{other}.{kind}"]
        for number in (1, 2):
            scale = state[f"{theirs}layer_scale{number}.lambda1"]
            new[f"{ours}ls{number}.gamma"] = scale
    torch.save(new, tmp_path / "x.pth")
    encoder = import_encoder(tmp_path / "x.pth", size=(48, 48), **FIELDS)
    assert encoder.info.origin["format"] == "dinov3"
    compare(model, encoder)
    torch.save({**new, "rope_embed.periods": 50 ** (torch.arange(3) / 3)}, tmp_path / "y.pth")
    with pytest.raises(RecipeError, match=r"rope_embed\.periods run from 1 to 13\.6"):
        import_encoder(tmp_path / "y.pth", size=(48, 48), **FIELDS)


def test_dinov3_of_timm(tmp_path: Path):
    timm = importlib.import_module("timm")
    model = shaken(
        timm.create_model(
            "vit_small_patch16_dinov3", depth=2, embed_dim=24, num_heads=2, img_size=48
        )
    )
    encoder = import_encoder(model, size=(48, 48), mean=MEAN, std=STD)
    pixels = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        theirs = model.forward_features(normalised(pixels))
    assert_equal(features(encoder, {"pixels": pixels}), theirs)
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    read = import_encoder(tmp_path / "x.safetensors", size=(48, 48), **FIELDS)
    assert read.info.origin["format"] == "timm-dinov3"


def test_dinov2_with_gated_mlps(tmp_path: Path):
    """Its ViT-g: in memory, and in a file with both halves in one matrix."""
    transformers = importlib.import_module("transformers")
    sizes = {k: v for k, v in SQUARE.items() if k != "intermediate_size"}
    config = transformers.Dinov2Config(**sizes, use_swiglu_ffn=True)
    model = shaken(transformers.Dinov2Model(config))
    encoder = import_encoder(model, size=(48, 48), **FIELDS)
    assert encoder.info.encoder.style.swiglu
    compare(model, encoder)
    state = model.state_dict()
    for layer in range(2):
        mlp = f"encoder.layer.{layer}.mlp."
        for kind in ("weight", "bias"):
            halves = [state.pop(f"{mlp}{name}_proj.{kind}") for name in ("gate", "up")]
            state[f"{mlp}weights_in.{kind}"] = torch.cat(halves)
            state[f"{mlp}weights_out.{kind}"] = state.pop(f"{mlp}down_proj.{kind}")
    save_file(state, tmp_path / "x.safetensors")
    read = import_encoder(tmp_path / "x.safetensors", size=(48, 48), **FIELDS)
    assert read.info.origin["format"] == "transformers-dinov2"
    compare(model, read)


class PointMae(nn.Module):
    """The encoder of Point-MAE (arXiv:2203.06604) in plain torch, under its official names."""

    def __init__(self) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        embed: Any = nn.Module()
        embed.first_conv = nn.Sequential(
            nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1)
        )
        embed.second_conv = nn.Sequential(
            nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, 24, 1)
        )
        self.encoder: Any = embed
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, 24))
        inner: Any = nn.Module()
        norm: Any = partial(nn.LayerNorm, eps=1e-5)
        inner.blocks = nn.ModuleList(
            Block(24, 2, qkv_bias=False, norm_layer=norm) for _ in range(2)
        )
        self.blocks: Any = inner
        self.norm = nn.LayerNorm(24)

    def forward(self, groups: Tensor, centers: Tensor) -> Tensor:
        points = groups.flatten(0, 1).transpose(1, 2)
        lifted = self.encoder.first_conv(points)
        whole = lifted.amax(dim=2, keepdim=True).expand_as(lifted)
        tokens = self.encoder.second_conv(torch.cat([whole, lifted], dim=1)).amax(dim=2)
        x, places = tokens.unflatten(0, groups.shape[:2]), self.pos_embed(centers)
        for block in self.blocks.blocks:
            x = block(x + places)
        return self.norm(x)


def test_point_mae(tmp_path: Path):
    model = shaken(PointMae())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    state = {f"module.MAE_encoder.{k}": v for k, v in model.state_dict().items()}
    others = {"module.MAE_decoder.norm.weight": torch.ones(24)}
    others |= {"module.mask_token": torch.zeros(1, 1, 24)}
    others |= {"module.increase_dim.0.weight": torch.zeros(96, 24, 1)}
    torch.save({"base_model": state | others, "epoch": 300}, tmp_path / "x.pth")
    encoder = import_encoder(tmp_path / "x.pth", num_heads=2, size=(128, 16, 8))
    assert encoder.info.origin["format"] == "pointmae"
    modality: Any = encoder.info.modalities[0]
    xyz = F.normalize(torch.randn(2, 128, 3), dim=2) * torch.rand(2, 128, 1)
    samples = [{"xyz": cloud, "features": torch.zeros(128, 0)} for cloud in xyz]
    raw = modality.collate(samples)
    tokens = modality.split(raw)
    groups = tokens.values.unflatten(2, (8, 3))
    with torch.no_grad():
        theirs = model(groups, tokens.coords)
    assert_equal(features(encoder, dict(raw)), theirs)
