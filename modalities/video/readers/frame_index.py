"""Which frames a video has and when each is shown: one numbering for all decoders.

So the same draw means the same frames with each of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from modalities.video.readers.scan import Scan, scan_file
from omnimask.foundation.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameIndex:
    """The frames in the order they are shown.

    `pts`: presentation times in ticks of `tick_s` seconds, ascending; `key_pts` those of the frames
    that decoding can start at. `start`: the tick at which the recording starts (a video whose sound
    begins first has its first frame later), `end` the one at which the last frame ends.
    `is_turned`: a player is to turn the frames; all decoders here give them upright.
    `has_times`: False where the file states no usable times (AVI with B-frames); `pts` is then the
    number of the frame at the average rate, and frames can be found by counting only.
    """

    pts: Int64[np.ndarray, " n"]
    key_pts: Int64[np.ndarray, " k"]
    tick_s: float
    start: float
    end: float
    is_turned: bool
    has_times: bool

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def times_s(self) -> Float64[np.ndarray, " n"]:
        """When each frame begins, in seconds from the start of the recording."""
        return (self.pts - self.start) * self.tick_s

    @property
    def ends_s(self) -> Float64[np.ndarray, " n"]:
        """When each frame ends: when the next one begins."""
        return np.append(self.times_s[1:], (self.end - self.start) * self.tick_s)


def index_frames(path: Path) -> FrameIndex:
    """`DataError` naming the file if it has no picture track, or is damaged or cut off."""
    scan = scan_file(path)
    times = [packet.pts for packet in scan.packets if packet.pts is not None]
    reordered = scan.is_avi and any(packet.pts != packet.dts for packet in scan.packets)
    if reordered or len(set(times)) < len(scan.packets) or not scan.tick_s:
        return _by_number(scan, path)
    return _by_time(scan, np.array(sorted(times), dtype=np.int64))


def _by_time(scan: Scan, pts: Int64[np.ndarray, " n"]) -> FrameIndex:
    last = max(scan.packets, key=lambda packet: packet.pts or 0)
    usual = int(np.median(np.diff(pts))) if len(pts) > 1 else 1
    keys = sorted(packet.pts or 0 for packet in scan.packets if packet.is_key)
    return FrameIndex(
        pts=pts,
        key_pts=np.array(keys, dtype=np.int64),
        tick_s=scan.tick_s,
        start=scan.start_s / scan.tick_s,
        end=float(pts[-1] + (last.duration or usual)),
        is_turned=scan.is_turned,
        has_times=True,
    )


def _by_number(scan: Scan, path: Path) -> FrameIndex:
    if not scan.rate_hz:
        raise DataError(
            f"{path}: states neither the times of its frames nor a frame rate; re-encode it"
        )
    return FrameIndex(
        pts=np.arange(len(scan.packets), dtype=np.int64),
        key_pts=np.zeros(1, dtype=np.int64),
        tick_s=1 / scan.rate_hz,
        start=0.0,
        end=float(len(scan.packets)),
        is_turned=scan.is_turned,
        has_times=False,
    )
