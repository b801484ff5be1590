"""Names of weights in other projects' checkpoints, as data: rules that rename them to timm's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.transfer.importing.block_weights import BLOCK_BIAS, SHARED_BIAS

Rules = tuple[tuple[str, str], ...]

_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16, 1536: 24}
_DINOV3_HEADS = {384: 6, 768: 12, 1024: 16, 1152: 18, 1280: 20, 1536: 24, 4096: 32}

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
    (r"\.mlp\.up_proj\.", ".mlp.fc1."),
    (r"\.mlp\.gate_proj\.", ".mlp.fc1_g."),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),  # the two in one, before transformers 5
    (r"\.mlp\.(down_proj|weights_out)\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
)
# dinov2's SwiGLUFFNFused and dinov3's SwiGLUFFN; w12 is cut in two where it is taken.
_SWIGLU = (
    (r"\.mlp\.w1\.", ".mlp.fc1_g."),
    (r"\.mlp\.w2\.", ".mlp.fc1."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
)
_HF_BEIT = (
    (r"^(beit|data2vec_vision)\.", ""),
    (r"\.lambda_([12])$", r".ls\1.gamma"),
    (
        r"^(shared_position_bias|encoder\.relative_position_bias)\.relative_position_bias_table$",
        SHARED_BIAS,
    ),
    (
        r"(\.attention\.attention)?\.relative_position_bias\.relative_position_bias_table$",
        f".{BLOCK_BIAS}",
    ),
    *_HF_BLOCK,
)
_HF_DINOV3 = (
    (r"^model\.", ""),
    (r"^layer\.(\d+)\.", r"layers.\1."),
    (r"^embeddings\.patch_embeddings\.(weight|bias)$", r"patch_embed.proj.\1"),
    *_HF_BLOCK,
)
# Towers of pictures; the text's, the projections into the space of both and the temperature go.
_HF_CLIP = (
    (r"^vision_model\.", ""),
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^post_layernorm\.", "norm."),
    (r"^encoder\.layers\.(\d+)\.", r"blocks.\1."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.layer_norm([12])\.", r".norm\1."),
)
_OPENAI_CLIP = (
    (r"^visual\.", ""),
    (r"^class_embedding$", "cls_token"),
    (r"^positional_embedding$", "pos_embed"),
    (r"^conv1\.", "patch_embed.proj."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"^transformer\.resblocks\.(\d+)\.", r"blocks.\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
_CLIP_DROPPED = (
    r"^(text_model\.|text_projection\.|visual_projection\.|logit_scale|proj$)|position_ids$"
)
_HF_DROPPED = r"^(decoder\.|encoder_to_decoder\.|pooler\.|classifier\.|mask_token$)"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyMap:
    """`rules` rename, in order; keys that `dropped` matches (decoders, heads) are left out.

    `kind`: what a token is of. `positions`: what the encoder has instead of a table of places.
    `norm_eps` and `heads` (by width): of the published models.
    """

    kind: str = "image"
    rules: Rules = ()
    dropped: str = r"^(head\.|fc\.|mask_token$)"
    positions: Literal["table", "rotary"] = "table"
    norm_eps: float = 1e-6
    heads: Mapping[int, int] = field(default_factory=lambda: _HEADS)
    act: Literal["gelu", "quick_gelu"] = "gelu"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


_CLIP: dict[str, Any] = {
    "dropped": _CLIP_DROPPED,
    "norm_eps": 1e-5,
    "act": "quick_gelu",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}

# Read off the code that made the checkpoints: module names, norm eps, biases, position tables.
KEY_MAPS: dict[str, KeyMap] = {
    "timm": KeyMap(rules=((r"^reg_token$", "register_tokens"),)),
    # facebookresearch/mae, models_mae.py: eps 1e-6, one qkv with bias, pos_embed with [CLS] first.
    "mae": KeyMap(dropped=r"^(decoder_|head\.|mask_token$)"),
    # facebookresearch/AudioMAE, models_mae.py: as MAE, one channel, (time, mel) = (1024, 128);
    # main_pretrain.py and dataset.py: (x + 4.2677393) / (2 * 4.5689974).
    "audiomae": KeyMap(kind="audio", dropped=r"^(decoder_|head\.|mask_token$)"),
    # MCG-NJU/VideoMAE, modeling_pretrain.py and modeling_finetune.py: eps 1e-6, q_bias and v_bias
    # without a k_bias, gamma_1 and gamma_2 where init_values > 0. The table of sines is no weight;
    # a pos_embed in the file is a learned one (use_learnable_pos_emb) and is not understood.
    "videomae": KeyMap(
        kind="video",
        rules=((r"^encoder\.", ""), (r"\.gamma_([12])$", r".ls\1.gamma")),
        dropped=r"^(decoder\.|encoder_to_decoder\.|head\.|mask_token$)",
    ),
    # facebookresearch/dinov2, dinov2/models/vision_transformer.py and layers/: eps 1e-6, registers
    # behind [CLS] and without a position, blocks.CHUNK.LAYER where block_chunks > 0; the published
    # files (hub/backbones.py) have block_chunks 0 and 37 x 37 places of 14 pixels.
    "dinov2": KeyMap(
        rules=((r"^blocks\.\d+\.(\d+\.)", r"blocks.\1"), *_SWIGLU),
        dropped=r"^(head\.|dino_head\.|ibot_head\.|mask_token$)",
    ),
    # facebookresearch/dinov3, dinov3/models/vision_transformer.py and layers/: no table, storage
    # tokens behind [CLS], keys without bias, published with layernormbf16's eps 1e-5.
    "dinov3": KeyMap(
        rules=((r"^storage_tokens$", "register_tokens"), *_SWIGLU),
        dropped=r"^(head\.|mask_token$|local_cls_norm\.)",
        positions="rotary",
        norm_eps=1e-5,
        heads=_DINOV3_HEADS,
    ),
    "timm-dinov3": KeyMap(
        rules=(
            (r"^reg_token$", "register_tokens"),
            (r"\.gamma_([12])$", r".ls\1.gamma"),
            (r"\.mlp\.fc1_x\.", ".mlp.fc1."),
        ),
        positions="rotary",
        norm_eps=1e-5,
        heads=_DINOV3_HEADS,
    ),
    # microsoft/unilm, beit2/modeling_pretrain.py and modeling_finetune.py, as beit/;
    # facebookresearch/data2vec_vision, beit/modeling_cyclical.py: eps 1e-6, q_bias and v_bias,
    # gamma_1 and gamma_2, one bias of distances for all blocks or one in each.
    "beit": KeyMap(
        rules=(
            (r"\.gamma_([12])$", r".ls\1.gamma"),
            (r"^rel_pos_bias\.relative_position_bias_table$", SHARED_BIAS),
            (r"\.attn\.relative_position_bias_table$", f".{BLOCK_BIAS}"),
        ),
        dropped=r"^(lm_head\.|cls_pt_\w+\.|head\.|mask_token$)|relative_position_index$",
    ),
    # Pang-Yatian/Point-MAE, models/Point_MAE.py: `block(x + pos)`, no qkv bias, torch's eps.
    "pointmae": KeyMap(
        kind="points",
        rules=((r"^MAE_encoder\.", ""), (r"^blocks\.blocks\.", "blocks.")),
        dropped=r"^(MAE_decoder|decoder_pos_embed|increase_dim)\.|^mask_token$",
        norm_eps=1e-5,
    ),
    # openai/CLIP, clip/model.py and clip.py: a norm before the first block, no bias of patches,
    # QuickGELU, torch's eps; `visual.proj`, which only [CLS] goes through there, is left out.
    "clip": KeyMap(rules=_OPENAI_CLIP, **_CLIP),
    # CLIPVisionModel and CLIPModel of transformers, with CLIPConfig's defaults.
    "transformers-clip": KeyMap(rules=_HF_CLIP, **_CLIP),
    # transformers: the default eps of ViTConfig, ViTMAEConfig and VideoMAEConfig is 1e-12, that of
    # Dinov2Config 1e-6.
    "transformers": KeyMap(rules=_HF_BLOCK, dropped=_HF_DROPPED, norm_eps=1e-12),
    "transformers-dinov2": KeyMap(rules=_HF_BLOCK, dropped=_HF_DROPPED),
    "transformers-video": KeyMap(
        kind="video", rules=_HF_BLOCK, dropped=_HF_DROPPED, norm_eps=1e-12
    ),
    "transformers-beit": KeyMap(rules=_HF_BEIT, dropped=_HF_DROPPED, norm_eps=1e-12),
    # DINOv3ViTConfig: eps 1e-5.
    "transformers-dinov3": KeyMap(
        rules=_HF_DINOV3,
        dropped=_HF_DROPPED,
        positions="rotary",
        norm_eps=1e-5,
        heads=_DINOV3_HEADS,
    ),
}

# What the encoder cannot compute, and the keys that show it.
_REFUSED = (
    # facebookresearch/fairseq, examples/data2vec/models: AltBlock of modalities/modules.py under
    # data2vec2.py's default layer_norm_first=False.
    (r"modality_encoders", "data2vec 2.0 norms after its branches, not before them"),
    (r"attn\.[qk]_norm", "it normalises queries and keys with layer norm, here it is RMS norm"),
    # models_vit.py of MAE and AudioMAE, modeling_finetune.py of VideoMAE and BEiT, timm's
    # global_pool="avg"; pooler.layernorm in transformers.
    (
        r"^fc_norm\.|pooler\.layernorm\.",
        "its last norm stands behind a mean over the tokens, as in fine-tuned checkpoints",
    ),
)


def guess_format(state: Mapping[str, Tensor]) -> str:
    """The format that these keys are of; RecipeError where none is."""
    refuse(state)
    if any(key.startswith("MAE_encoder.") for key in state):
        return "pointmae"
    if any(key.endswith("embeddings.class_embedding") for key in state):
        return "transformers-clip"
    if any(key.endswith("visual.ln_pre.weight") for key in state):
        return "clip"
    if any("embeddings.patch_embeddings" in key for key in state):
        return _guess_transformers(state)
    patch = state.get("patch_embed.proj.weight")
    if "encoder.patch_embed.proj.weight" in state or (patch is not None and patch.ndim == 5):
        return "videomae"
    if patch is None:
        raise RecipeError(
            f"no known format has the keys {sorted(state)[:3]}; known are {', '.join(KEY_MAPS)}: "
            "name it with --format if it is one of them"
        )
    if any("relative_position_bias_table" in key for key in state):
        return "beit"
    if "storage_tokens" in state or "rope_embed.periods" in state:
        return "dinov3"
    if "reg_token" in state and "pos_embed" not in state:
        return "timm-dinov3"
    scaled = any(key.endswith(".ls1.gamma") for key in state)
    if "register_tokens" in state or ("mask_token" in state and scaled):
        return "dinov2"
    if patch.shape[1] == 1:
        return "audiomae"
    return "mae" if any(key.startswith("decoder_") for key in state) else "timm"


def _guess_transformers(state: Mapping[str, Tensor]) -> str:
    kernels = [v for k, v in state.items() if "patch_embeddings" in k and k.endswith("weight")]
    if kernels[0].ndim == 5:
        return "transformers-video"
    if any("position_bias" in key for key in state):
        return "transformers-beit"
    if not any("position_embeddings" in key for key in state):
        return "transformers-dinov3"
    dino = any(key.endswith("layer_scale1.lambda1") for key in state)
    return "transformers-dinov2" if dino else "transformers"


def refuse(state: Mapping[str, Tensor]) -> None:
    """RecipeError for checkpoints that our encoder cannot compute exactly."""
    for pattern, reason in _REFUSED:
        found = next((key for key in state if re.search(pattern, key)), None)
        if found is not None:
            raise RecipeError(
                f"this checkpoint cannot be imported exactly: {reason} (key {found!r}), which the "
                "encoder of omnimask does not have; take a checkpoint of pretraining in one of the "
                f"formats {', '.join(KEY_MAPS)}"
            )


def renamed(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The encoder's weights under timm's names. RecipeError for an unknown format."""
    if name not in KEY_MAPS:
        raise RecipeError(f"format {name!r} is unknown; {nearest_names(name, KEY_MAPS)}")
    refuse(state)
    found = {}
    if name == "clip":  # the text tower has keys like those of the pictures'
        state = {key: value for key, value in state.items() if key.startswith("visual.")}
    for key, value in state.items():
        for pattern, replacement in KEY_MAPS[name].rules:
            key = re.sub(pattern, replacement, key)
        if not re.search(KEY_MAPS[name].dropped, key):
            found[key] = value
    return found
