"""What a reading library says of a sound before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundInfo:
    """Length and rate of a recording's first sound track.

    `num_samples` per channel, as the file states or its packets add up to. `offset_s`: when the
    first sample sounds, in seconds from the start of the recording; not 0 only in a video whose
    sound begins later than its pictures.
    """

    rate_hz: int
    num_samples: int
    offset_s: float = 0.0
