"""Vectors of any mix of files: `omnimask embed`."""

from omnimask.transfer.embedding.embed import Embedded, embed, iter_embeddings
from omnimask.transfer.embedding.listing import NotEmbedded
from omnimask.transfer.embedding.vectors import Embedding, EmbedOptions

__all__ = [
    "EmbedOptions",
    "Embedded",
    "Embedding",
    "NotEmbedded",
    "embed",
    "iter_embeddings",
]
