"""Small models of timm and transformers, and the features of their imports."""

import importlib
from typing import Any

import torch
from torch import Tensor

from omnimask.tokens.tokens import Group
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

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


SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "image_size": (32, 48),
    "patch_size": 16,
}


def clip() -> dict[str, Any]:
    frames = torch.randint(0, 256, (2, 4, 3, 32, 48), dtype=torch.uint8)
    return {"frames": frames, "num_frames": (4, 4), "real_frames": torch.tensor([4, 4])}


def video_model() -> Any:
    transformers = importlib.import_module("transformers")
    config = transformers.VideoMAEConfig(**SIZES, num_frames=4, use_mean_pooling=False)
    return shaken(transformers.VideoMAEModel(config))
