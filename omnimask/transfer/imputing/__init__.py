"""What is hidden or missing of one file, from a trained model: `omnimask impute`."""

from omnimask.transfer.imputing.completer import Completed, Hide, Request
from omnimask.transfer.imputing.restore import Restored, restore_hidden

__all__ = [
    "Completed",
    "Hide",
    "Request",
    "Restored",
    "restore_hidden",
]
