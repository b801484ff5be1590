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
_HF_DROPPED = r"^(decoder\.|encoder_to_decoder\.|pooler\.|classifier\.|mask_token$)"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyMap:
    """`rules` rename, in order; keys that `dropped` matches (decoders, heads) are left out.

    `kind`: what a token is of. `norm_eps`: of the published model.
    """

    kind: str = "image"
    rules: Rules = ()
    dropped: str = r"^(head\.|fc\.|mask_token$)"
    norm_eps: float = 1e-6


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
        rules=((r"^blocks\.\d+\.(\d+\.)", r"blocks.\1"),),
        dropped=r"^(head\.|dino_head\.|ibot_head\.|mask_token$)",
    ),
    # transformers: the default eps of ViTConfig, ViTMAEConfig and VideoMAEConfig is 1e-12, that of
    # Dinov2Config 1e-6.
    "transformers": KeyMap(rules=_HF_BLOCK, dropped=_HF_DROPPED, norm_eps=1e-12),
    "transformers-dinov2": KeyMap(rules=_HF_BLOCK, dropped=_HF_DROPPED),
    "transformers-video": KeyMap(
        kind="video", rules=_HF_BLOCK, dropped=_HF_DROPPED, norm_eps=1e-12
    ),
}

# What a plain pre-norm ViT with places added once cannot compute, and the keys that show it.
_REFUSED = (
    # microsoft/unilm, beit2/modeling_pretrain.py and modeling_finetune.py: one rel_pos_bias for all
    # blocks, or one in each; facebookresearch/data2vec_vision, beit/modeling_cyclical.py: same.
    (
        r"relative_position_(bias|index)",
        "BEiT, BEiT v2 and data2vec-vision add a learned relative position bias to the attention "
        "scores",
    ),
    # facebookresearch/dinov3, dinov3/models/vision_transformer.py: no table; rope_embed with
    # base 100 on normalised coordinates, which `rotary_angles` has not; storage_tokens.
    (r"rope_embed|rope\.|storage_tokens", "DINOv3 rotates by its own angles"),
    # Pang-Yatian/Point-MAE, models/Point_MAE.py: `block(x + pos)`, and first_conv.1 and
    # second_conv.1 are BatchNorm1d.
    (
        r"MAE_encoder",
        "Point-MAE adds positions in front of every block, and its token embedding has batch norm "
        "where PointGroups has layer norm",
    ),
    # facebookresearch/fairseq, examples/data2vec/models: AltBlock of modalities/modules.py under
    # data2vec2.py's default layer_norm_first=False.
    (r"modality_encoders", "data2vec 2.0 norms after its branches, not before them"),
    (r"mlp\.(w12|fc1_g|weights_in)\b", "its MLP is gated (SwiGLU of another width)"),
    (r"attn\.[qk]_norm", "it normalises queries and keys with layer norm, here it is RMS norm"),
    # models_vit.py of MAE and AudioMAE, modeling_finetune.py of VideoMAE, timm's global_pool="avg".
    (
        r"^fc_norm\.",
        "its last norm stands behind a mean over the tokens, as in fine-tuned checkpoints",
    ),
)


def guess_format(state: Mapping[str, Tensor]) -> str:
    """The format that these keys are of; RecipeError where none is."""
    refuse(state)
    patch = state.get("patch_embed.proj.weight")
    if any("patch_embeddings.projection" in key for key in state):
        kernels = [v for k, v in state.items() if k.endswith("patch_embeddings.projection.weight")]
        if kernels[0].ndim == 5:
            return "transformers-video"
        dino = any(key.endswith("layer_scale1.lambda1") for key in state)
        return "transformers-dinov2" if dino else "transformers"
    if "encoder.patch_embed.proj.weight" in state or (patch is not None and patch.ndim == 5):
        return "videomae"
    if patch is None:
        raise RecipeError(
            f"no known format has the keys {sorted(state)[:3]}; known are {', '.join(KEY_MAPS)}: "
            "name it with --format if it is one of them"
        )
    scaled = any(key.endswith(".ls1.gamma") for key in state)
    if "register_tokens" in state or ("mask_token" in state and scaled):
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
