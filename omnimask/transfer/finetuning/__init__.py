"""Supervised training of a pretrained encoder, or of one from scratch, on labelled samples."""
