"""Vectors of any mix of files: `omnimask embed`."""

from omnimask.embedding.embed import Embedded, embed, iter_embeddings
from omnimask.embedding.listing import NotEmbedded
from omnimask.embedding.vectors import Embedding, EmbedOptions
from omnimask.modality_hooks import FileReader

__all__ = [
    "EmbedOptions",
    "Embedded",
    "Embedding",
    "FileReader",
    "NotEmbedded",
    "embed",
    "iter_embeddings",
]
