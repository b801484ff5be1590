"""Names of weights in other projects' checkpoints, as data: rules that rename them to timm's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omnimask.errors import RecipeError, nearest_names

Rules = tuple[tuple[str, str], ...]

_HF_BLOCK = (
    (r"^(vit|videomae|dinov2|dinov2_with_registers)\.", ""),
    (r"^(encoder\.layer|layers)\.(\d+)\.", r"blocks.\2."),
    (r"^embeddings\.(cls_token|mask_token|register_tokens)$", r"\1"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1."),
    (r"\.attention\.(o_proj|output\.dense)\.", ".attn.proj."),
    (r"\.attn\.query\.", ".attn.q."),
    (r"\.attn\.key\.", ".attn.k."),
    (r"\.attn\.value\.", ".attn.v."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"^(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyMap:
    """`rules` rename, in order; keys that `dropped` matches (decoders, heads) are left out.

    `kind`: what a token is of. `norm_eps`: of the published model.
    """

    kind: str = "image"
    rules: Rules = ()
    dropped: str = r"^(head\.|fc\.|mask_token$)"
    norm_eps: float = 1e-6


KEY_MAPS: dict[str, KeyMap] = {
    "timm": KeyMap(rules=((r"^reg_token$", "register_tokens"),)),
    "mae": KeyMap(dropped=r"^(decoder_|head\.|mask_token$)"),
    "audiomae": KeyMap(kind="audio", dropped=r"^(decoder_|head\.|mask_token$)"),
    "videomae": KeyMap(
        kind="video",
        rules=((r"^encoder\.", ""),),
        dropped=r"^(decoder\.|encoder_to_decoder\.|head\.|mask_token$|pos_embed$)",
    ),
    "dinov2": KeyMap(rules=((r"^blocks\.\d+\.(\d+\.)", r"blocks.\1"),)),
    "transformers": KeyMap(
        rules=_HF_BLOCK, dropped=r"^(pooler\.|classifier\.|mask_token$)", norm_eps=1e-12
    ),
    "transformers-video": KeyMap(
        kind="video", rules=_HF_BLOCK, dropped=r"^(classifier\.|mask_token$)", norm_eps=1e-12
    ),
}

# What a plain pre-norm ViT with places added once cannot compute, and the keys that show it.
_REFUSED = (
    (
        r"relative_position_(bias|index)",
        "BEiT, BEiT v2 and data2vec 1.0 have a relative position bias",
    ),
    (r"rope_embed|rope\.", "DINOv3 rotates by its own angles"),
    (r"MAE_encoder", "Point-MAE adds positions in front of every block"),
    (r"modality_encoders|blocks\.\d+\.norm1.*_post", "data2vec 2.0 normalises after its blocks"),
    (r"mlp\.(w12|fc1_g|weights_in)\b", "its MLP is gated (SwiGLU of another width)"),
    (r"attn\.[qk]_norm", "it normalises queries and keys with layer norm"),
)


def guess_format(state: Mapping[str, Tensor]) -> str:
    """The format that these keys are of; RecipeError where none is."""
    refuse(state)
    patch = state.get("patch_embed.proj.weight")
    if any("patch_embeddings.projection" in key for key in state):
        kernels = [v for k, v in state.items() if k.endswith("patch_embeddings.projection.weight")]
        return "transformers-video" if kernels[0].ndim == 5 else "transformers"
    if "encoder.patch_embed.proj.weight" in state or (patch is not None and patch.ndim == 5):
        return "videomae"
    if patch is None:
        raise RecipeError(
            f"no known format has the keys {sorted(state)[:3]}; known are {', '.join(KEY_MAPS)}: "
            "name it with --format if it is one of them"
        )
    if "register_tokens" in state or ("mask_token" in state and "blocks.0.ls1.gamma" in state):
        return "dinov2"
    if patch.shape[1] == 1:
        return "audiomae"
    return "mae" if any(key.startswith("decoder_") for key in state) else "timm"


def refuse(state: Mapping[str, Tensor]) -> None:
    """RecipeError for checkpoints that our encoder cannot compute exactly."""
    for pattern, reason in _REFUSED:
        found = next((key for key in state if re.search(pattern, key)), None)
        if found is not None:
            raise RecipeError(
                f"this checkpoint cannot be imported exactly: {reason} (key {found!r}), which the "
                "encoder of omnimask does not have; take an MAE, VideoMAE, AudioMAE, DINOv2 or "
                "plain ViT checkpoint"
            )


def renamed(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The encoder's weights under timm's names. RecipeError for an unknown format."""
    if name not in KEY_MAPS:
        raise RecipeError(f"format {name!r} is unknown; {nearest_names(name, KEY_MAPS)}")
    refuse(state)
    found = {}
    for key, value in state.items():
        for pattern, replacement in KEY_MAPS[name].rules:
            key = re.sub(pattern, replacement, key)
        if not re.search(KEY_MAPS[name].dropped, key):
            found[key] = value
    return found
