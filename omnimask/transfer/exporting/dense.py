"""The encoder of one modality as a plain function of padded tensors, for exports.

`PretrainedEncoder` packs rows by lengths that it knows on the host, which no exported graph can
follow. Here rows stay padded and a boolean says which tokens are real; the weights are the same
modules, so that nothing can drift apart.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError
from omnimask.network.blocks import Attention, Block, rotate
from omnimask.network.positions import rotary_angles
from omnimask.network.relative import look_up, of_prefix, padded_entries
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


class DenseEncoder(nn.Module):
    """Token values, their coordinates and which of them are valid -> pooled and token features.

    Batch and length may be any. Shares its weights with `encoder`; attention is written for
    inference, and no branch is dropped.

    RecipeError for a modality that the encoder never saw.
    """

    def __init__(self, encoder: PretrainedEncoder, modality: str) -> None:
        super().__init__()
        known = encoder.info.modality(modality)
        backbone, config = encoder.backbone, encoder.info.encoder
        positions = backbone.places.positions
        self.training = encoder.training
        self.config, self.extent = config, backbone.extents[modality]
        self.modality, self.relative = modality, backbone.relative
        self.grid = known.grid
        self.embedding = backbone.contents.embeddings[modality]
        self.position = None
        if modality in positions:  # not where the encoder only rotates
            self.position = positions[modality]
        self.place = backbone.places.modalities[modality]
        if config.style.kind != "vit":
            raise RecipeError(
                f"encoder.style.kind={config.style.kind!r} has no graph yet; the format encoder "
                "holds it"
            )
        self.prefix, self.pre_norm = backbone.encoder.prefix, backbone.encoder.pre_norm
        self.shared_table = backbone.encoder.relative
        self.blocks, self.norm = backbone.encoder.blocks, backbone.encoder.norm

    @property
    def output_names(self) -> tuple[str, ...]:
        """In the order of `forward`: `pooled` (b d), `tokens` (b n d), and [CLS] (b d) if any."""
        return ("pooled", "tokens", "class_token")[: 2 + self.config.class_token]

    def forward(
        self,
        values: Float[Tensor, "b n v"],
        coords: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"],
    ) -> tuple[Tensor, ...]:
        """`pooled` is the mean over valid tokens, zero in a row without one. `tokens` are in the
        order of `values`, zero where a token is not valid; the prefix is left out.
        """
        x, places = self._embed(values, coords)
        allowed, angles = valid, self._angles(coords)
        num_prefix = self.config.num_prefix
        if self.prefix is not None:
            x = torch.cat([self.prefix.expand(x.shape[0], -1, -1), x], dim=1)
            allowed = F.pad(valid, (num_prefix, 0), value=True)
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        # The smallest number instead of -inf keeps a row without any token finite.
        bias = torch.zeros_like(allowed, dtype=x.dtype)
        bias = bias.masked_fill(~allowed, torch.finfo(x.dtype).min)[:, None, None, :]
        pairs = self._pairs(coords)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = x if places is None else x + places
            table = self.shared_table if block.attn.relative is None else block.attn.relative
            near = 0.0 if table is None or pairs is None else look_up(table, pairs)
            x = _run_block(block, x, bias + near, angles)
        x = self.norm(x)
        tokens = x[:, num_prefix:] * valid[:, :, None]
        pooled = tokens.sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp_min(1)
        return (pooled, tokens, x[:, 0]) if self.config.class_token else (pooled, tokens)

    def _embed(self, values: Tensor, coords: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens as they enter the first block, and what is added to them and the prefix in front
        of every block, where the encoder does so.
        """
        size = values.shape[:2]
        embedded = self.embedding(values.flatten(0, 1)).unflatten(0, size)
        places = self.place
        if self.position is not None:
            places = (self.position(coords.flatten(0, 1)) + places).unflatten(0, size)
        if not self.config.places_every_block:
            return embedded + places, None
        return embedded, F.pad(places, (0, 0, self.config.num_prefix, 0))

    def _angles(self, coords: Tensor) -> Tensor | None:
        """Of all tokens and the prefix, which has no place and is rotated by zero."""
        if self.config.positions not in ("rotary", "both"):
            return None
        flat = rotary_angles(
            coords.flatten(0, 1),
            self.extent,
            head_dim=self.config.head_dim,
            style=self.config.rotary,
            on_grid=self.grid is not None,
        )
        return F.pad(flat.unflatten(0, coords.shape[:2]), (0, 0, self.config.num_prefix, 0))

    def _pairs(self, coords: Tensor) -> Tensor | None:
        """For every query and key of a row, prefix first, the entry of the bias tables."""
        if not self.config.relative_bias:
            return None
        cells = self.relative.of_coords(self.modality, coords)
        prefix = of_prefix(self.config.num_prefix, coords.device).expand(coords.shape[0], -1, -1)
        return padded_entries(torch.cat([prefix, cells], dim=1))


def _run_block(block: Block, x: Tensor, bias: Tensor, angles: Tensor | None) -> Tensor:
    x = x + block.scale1(_attend(block.attn, block.norm1(x), bias, angles))
    return x + block.scale2(block.mlp(block.norm2(x)))


def _attend(attention: Attention, x: Tensor, bias: Tensor, angles: Tensor | None) -> Tensor:
    assert attention.qkv is not None, "the encoder's blocks attend to themselves"
    q, k, v = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    if attention.q_norm is not None and attention.k_norm is not None:
        q, k = attention.q_norm(q), attention.k_norm(k)
    if angles is not None:
        q, k = _rotate(q, angles), _rotate(k, angles)
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    out = out.transpose(1, 2).flatten(2)
    return attention.proj(out if attention.sub_norm is None else attention.sub_norm(out))


def _rotate(x: Tensor, angles: Tensor) -> Tensor:
    return rotate(x.flatten(0, 1), angles.flatten(0, 1)).unflatten(0, x.shape[:2])
