"""Exports of a trained encoder to other formats, each checked on real samples."""

from omnimask.exporting.features import Parity
from omnimask.exporting.graph_file import graph_inputs
from omnimask.exporting.write import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "Parity", "export", "graph_inputs"]
