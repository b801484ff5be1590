"""Samples as tokens: the protocol of a modality, tokens and their layout, groups, packed rows."""
