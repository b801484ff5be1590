"""What is hidden or missing of one file, from a trained model: `omnimask impute`."""

from omnimask.complete.completer import Completed, Hide, Request
from omnimask.complete.restore import Restored, restore_hidden

__all__ = [
    "Completed",
    "Hide",
    "Request",
    "Restored",
    "restore_hidden",
]
