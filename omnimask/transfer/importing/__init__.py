"""Encoders from other projects' checkpoints and objects."""
