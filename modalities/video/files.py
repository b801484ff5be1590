"""Random clips of video files."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from modalities.video.modality import VideoTubelets
from modalities.video.readers.choice import BackendName, decode, usable_backends
from modalities.video.readers.frame_index import FrameIndex, index_frames
from modalities.video.sampling import ClipFrames, at_rate, every_nth
from omnimask.data.file_list import FileList, LabelsFrom
from omnimask.data.folders import list_files
from omnimask.data.pixels import Box, Interpolation, center_box, check_crops, random_box, resize
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.optional import needs
from omnimask.tokens.modality import Sample, Visit

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")

_MOST_REMEMBERED = 4096  # files whose frames are not listed again on the next visit


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFiles:
    """Videos below `path`, found recursively (links are followed), in sorted order.

    `path`: folder relative to the root. `labels`: "folder" takes the name of a file's folder, none
    at the top. `backend`: the decoding library, "auto" takes the first of decord, torchcodec and
    PyAV that works, file by file. Frames of a clip: every `frame_stride`-th, or those seen at
    `rate_hz` instants per second, whatever the video's own rate; exactly one of the two is set.
    Training views: a random start and one random box for all frames, with a share of the area in
    `crop_scale` and width / height in `crop_ratio`, mirrored with probability `flip`. Other views:
    the middle of the video, the largest box of the output's proportions.
    """

    path: str = "."
    labels: LabelsFrom = "folder"
    backend: BackendName = "auto"
    frame_stride: int | None = 4
    rate_hz: float | None = None
    crop_scale: tuple[float, float] = (0.5, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if (self.frame_stride is None) == (self.rate_hz is None):
            raise RecipeError(
                "exactly one of frame_stride and rate_hz must be set, got "
                f"{self.frame_stride} and {self.rate_hz}; write frame_stride=None, rate_hz=8.0 or "
                "frame_stride=4, rate_hz=None"
            )
        if not (self.frame_stride or self.rate_hz or 0) > 0:
            raise RecipeError(
                f"frame_stride and rate_hz must be positive, got {self.frame_stride} and "
                f"{self.rate_hz}"
            )
        check_crops(self.crop_scale, self.crop_ratio, self.flip)

    def open(self, root: str, modality: VideoTubelets, /) -> "VideoSource":
        needs("torchvision", extra="image")
        found = list_files(root, self.path, SUFFIXES, what="videos", labels=self.labels)
        return VideoSource(found, self, modality)


class VideoSource:
    """Random access to one clip of each video; nothing stays open between reads."""

    def __init__(self, found: FileList, files: VideoFiles, modality: VideoTubelets) -> None:
        self.found = found
        self._files, self._modality = files, modality
        self._backends = usable_backends(files.backend)
        # Per file what was learned on an earlier visit: its frames, and the decoders left to try.
        self._known: OrderedDict[int, tuple[FrameIndex, tuple[str, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.found)

    def name(self, index: int, /) -> str:
        return self.found.names[index]

    def label(self, index: int, /) -> str | None:
        return self.found.label(index)

    def read(self, index: int, visit: Visit, /) -> Sample:
        """`frames` (t c h w) uint8 of the modality's size; t is what the video has, at most
        `num_frames`.
        """
        with self.found.local(index) as path:
            frame_index, backends = self._look_up(index, path)
            chosen = self._choose(frame_index, visit)
            ids, places = np.unique(chosen.ids, return_inverse=True)
            frames, by = decode(backends, path, frame_index, ids)
        if by != backends[0]:
            self._known[index] = (frame_index, backends[backends.index(by) :])
        return {"frames": self._view(frames, visit)[torch.from_numpy(places)]}

    def center_s(self, index: int, visit: Visit, /) -> float:
        if visit.center_s is not None:
            return visit.center_s
        with self.found.local(index) as path:
            frame_index, _ = self._look_up(index, path)
        return self._choose(frame_index, visit).center_s

    def _look_up(self, index: int, path: Path) -> tuple[FrameIndex, tuple[str, ...]]:
        if index not in self._known:
            self._known[index] = (index_frames(path), self._backends)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return self._known[index]

    def _choose(self, frame_index: FrameIndex, visit: Visit) -> ClipFrames:
        files, num_frames = self._files, self._modality.num_frames
        times_s, ends_s = frame_index.times_s, frame_index.ends_s
        place = float(visit.generator("start").random()) if visit.augment else 0.5
        if files.rate_hz is not None:
            return at_rate(
                times_s,
                ends_s,
                num_frames=num_frames,
                rate_hz=files.rate_hz,
                place=place,
                center_s=visit.center_s,
            )
        assert files.frame_stride is not None
        return every_nth(
            times_s,
            ends_s,
            num_frames=num_frames,
            stride=files.frame_stride,
            place=place,
            center_s=visit.center_s,
        )

    def _view(
        self, frames: UInt8[np.ndarray, "t y x c"], visit: Visit
    ) -> UInt8[torch.Tensor, "t c h w"]:
        """One box of all frames, resized, perhaps mirrored."""
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
        height, width = pixels.shape[-2:]
        box = self._box(height, width, visit)
        resized = resize(box.cut(pixels), self._modality.size, self._files.interpolation)
        if visit.augment and visit.generator("flip").random() < self._files.flip:
            resized = resized.flip(-1)
        return resized.contiguous()

    def _box(self, height: int, width: int, visit: Visit) -> Box:
        if not visit.augment:
            return center_box(height, width, aspect=self._modality.size[1] / self._modality.size[0])
        return random_box(
            visit.generator("crop"),
            height,
            width,
            scale=self._files.crop_scale,
            ratio=self._files.crop_ratio,
        )
