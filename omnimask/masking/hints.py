"""Which hints a masker asks for, so that a step computes these and no others."""

from omnimask.foundation.records import records_in
from omnimask.masking.plan import Hinted, Masker


def asked_hints(masker: Masker) -> tuple[str, ...]:
    """The names of the hints that a masker or a masker inside it asks for, each once, sorted."""
    return tuple(sorted({part.hint for part in records_in(masker) if isinstance(part, Hinted)}))
