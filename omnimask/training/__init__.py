"""Pretraining: the step, the loop, the optimizer, checkpoints and the run folder."""
