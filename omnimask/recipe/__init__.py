"""The record that says everything about a run, its checks, and the recipes that come along."""
