"""What is hidden or missing of one file, from a trained model: `omnimask impute`."""

from omnimask.transfer.imputing.request import Hide, Imputation, Request
from omnimask.transfer.imputing.restore import Restored, restore_hidden

__all__ = [
    "Hide",
    "Imputation",
    "Request",
    "Restored",
    "restore_hidden",
]
