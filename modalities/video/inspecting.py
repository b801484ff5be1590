"""What clips say of themselves, and how they would be pretrained (VideoMAE, 2203.12602)."""

import math
from collections.abc import Sequence
from pathlib import Path

from modalities.video.files import SUFFIXES, VideoFiles
from modalities.video.modality import VideoTubelets
from modalities.video.readers.frame_index import index_frames
from omnimask.foundation.optional import needs
from omnimask.inspection.inspector import Budget, Inspector, Look, Proposal, median
from omnimask.masking import TubeMask
from omnimask.objectives.objective import mse
from omnimask.objectives.targets import Content

_SECONDS, _RATE = "length (s)", "rate (frames/s)"


def _look(path: Path) -> Look:
    needs("av", extra="video", what=path.name)
    import av

    index = index_frames(path)  # DataError where the file is damaged or cut off
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
        sounds = bool(container.streams.audio)
    seconds = float(index.ends_s[-1])
    return Look(
        facts={
            "height (pixels)": height,
            "width (pixels)": width,
            _SECONDS: seconds,
            _RATE: len(index) / max(seconds, 1e-6),
        },
        also=("audio",) if sounds else (),
    )


def _propose(looks: Sequence[Look], budget: Budget) -> Proposal:
    side = math.sqrt(median(looks, "height (pixels)") * median(looks, "width (pixels)"))
    most, patch, frames = (224, 16, 16) if budget.large else (48, 8, 8)
    if side < most:
        patch = 16 if side >= 128 else 8
    size = max(round(min(side, most) / patch), 1) * patch
    enough = int(median(looks, _SECONDS) * median(looks, _RATE))
    frames = min(frames, max(enough // 2, 1) * 2)
    return Proposal(
        modality=VideoTubelets(num_frames=frames, size=(size, size), tubelet=(2, patch, patch)),
        masker=TubeMask(ratio=0.9),
        content=(("pixels", Content(norm="token"), mse),),
        reasons=(
            f"clips: {frames} frames of {size} × {size} pixels in tubelets of 2 × {patch} × "
            f"{patch}, from a middle size of {side:.0f} pixels a side, {enough} frames and at most "
            f"{most} pixels here",
            "9 of 10 tubelets are hidden, the same places in all frames: VideoMAE, 2203.12602",
        ),
    )


def _files(path: str, looks: Sequence[Look], modality: object) -> VideoFiles:
    """Every second frame, or every fourth, where a file of middle length has so many."""
    assert isinstance(modality, VideoTubelets)
    enough = int(median(looks, _SECONDS) * median(looks, _RATE))
    return VideoFiles(path=path, frame_stride=min(max(enough // modality.num_frames, 1), 4))


INSPECTOR = Inspector(name="video", suffixes=SUFFIXES, look=_look, propose=_propose, files=_files)
