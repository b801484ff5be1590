"""White-box blocks: attention that codes tokens against subspaces, and one step of sparse coding.

CRATE, https://arxiv.org/abs/2306.01129, section 2; as an autoencoder
https://arxiv.org/abs/2404.02446, section 3, whose official code is Ma-Lab-Berkeley/CRATE,
model/crate_ae.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.network.blocks import BlockStyle, Packing, attend_packed, attention_weights

STEP = 0.1  # of the gradient step, eta
SPARSITY = 0.5  # lambda


class SubspaceAttention(nn.Module):
    """Attention of which queries, keys and values are one projection without bias."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "t d"], packing: Packing) -> Float[Tensor, "t d"]:
        w = self.qkv(x).unflatten(-1, (self.num_heads, -1))
        out = attend_packed(w, w, w, groups=packing.groups, key_groups=packing.groups)
        return self.proj(out.flatten(1))

    def weights(self, x: Float[Tensor, "t d"], packing: Packing) -> list[Tensor]:
        """As `Attention.weights`."""
        w = self.qkv(x).unflatten(-1, (self.num_heads, -1))
        return attention_weights(w, w, groups=packing.groups)


class Dictionary(nn.Module):
    """A square dictionary D, Kaiming-uniform at first; calling it is x -> D x."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))
        nn.init.kaiming_uniform_(self.weight)

    def forward(self, x: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        return F.linear(x, self.weight)

    def sparsen(self, x: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        """One step of non-negative ISTA from x itself towards a sparse code of x."""
        gradient = F.linear(x - self(x), self.weight.T)  # D^T x - D^T D x
        return F.relu(x + STEP * gradient - STEP * SPARSITY)


class CodingBlock(nn.Module):
    """Compression, x + attention(norm(x)), then a sparse code of its norm, without a residual."""

    def __init__(self, dim: int, num_heads: int, style: BlockStyle) -> None:
        super().__init__()
        self.norm1, self.norm2 = style.build_norm(dim), style.build_norm(dim)
        self.attn, self.dictionary = SubspaceAttention(dim, num_heads), Dictionary(dim)

    def forward(self, x: Float[Tensor, "t d"], packing: Packing) -> Float[Tensor, "t d"]:
        x = x + self.attn(self.norm1(x), packing)
        return self.dictionary.sparsen(self.norm2(x))


class DecodingBlock(nn.Module):
    """The two undone, last first: a dictionary on the norm, then minus attention."""

    def __init__(self, dim: int, num_heads: int, style: BlockStyle) -> None:
        super().__init__()
        self.norm1, self.norm2 = style.build_norm(dim), style.build_norm(dim)
        self.attn, self.dictionary = SubspaceAttention(dim, num_heads), Dictionary(dim)

    def forward(self, x: Float[Tensor, "t d"], packing: Packing) -> Float[Tensor, "t d"]:
        x = self.dictionary(self.norm2(x))
        return x - self.attn(self.norm1(x), packing)
