"""What is hidden or missing of one file, from a trained model: `omnimask impute`."""

from omnimask.transfer.imputing.completer import Completed, Completer, Hide, Request
from omnimask.transfer.imputing.file import complete_file
from omnimask.transfer.imputing.restore import Restored, restore_hidden

__all__ = [
    "Completed",
    "Completer",
    "Hide",
    "Request",
    "Restored",
    "complete_file",
    "restore_hidden",
]
