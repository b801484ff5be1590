"""Masked self-supervised pretraining of one transformer encoder on many modalities."""
