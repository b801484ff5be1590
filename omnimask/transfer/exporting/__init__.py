"""Exports of a trained encoder to other formats, each checked on real samples."""

from omnimask.transfer.exporting.features import Parity
from omnimask.transfer.exporting.graph_file import graph_inputs
from omnimask.transfer.exporting.write import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "Parity", "export", "graph_inputs"]
