"""The one transformer: attention on packed rows, blocks, positions, embeddings, the encoder."""
