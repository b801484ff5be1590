"""The errors a user can meet, and how an unknown name is answered."""

import difflib
from collections.abc import Iterable


class OmnimaskError(Exception):
    """What the command line prints without a traceback, and the exit status that it then has."""

    status = 2


class RecipeError(OmnimaskError):
    """A recipe, an override or a checkpoint asks for something that cannot work."""


class DamageError(RecipeError):
    """What lies on the disk is not what was written there; the message names the file."""


class DataError(OmnimaskError):
    """A file or a data folder cannot be used; the message names it."""


class StoppedError(OmnimaskError):
    """A signal asked the run to end, which can go on: 75, "temporary failure", is what schedulers
    are told to queue again; 130 is what shells expect after Ctrl-C.
    """

    def __init__(self, message: str, *, by_hand: bool) -> None:
        super().__init__(message)
        self.status = 130 if by_hand else 75


class LostProcessError(OmnimaskError):
    """Another process of the run has ended without a word. 76, "protocol": the run can go on, but
    what ended the other one may end it again, so that nobody should queue it without a look.
    """

    status = 76


def nearest_names(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the closest known names, or all of them if none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
