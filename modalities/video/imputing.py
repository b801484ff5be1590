"""`omnimask impute` on a video."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from modalities.video.files import SUFFIXES, VideoFiles
from modalities.video.modality import VideoTubelets
from modalities.video.readers.choice import decode, usable_backends
from modalities.video.readers.frame_index import index_frames
from modalities.video.sampling import at_rate, every_nth
from omnimask.foundation.errors import DataError
from omnimask.foundation.optional import needs
from omnimask.tokens.tokens import tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.frames import FrameView, hidden_pixels, impute_frames
from omnimask.transfer.imputing.request import Hide, Imputation, Request
from omnimask.transfer.imputing.stream_files import files_of


class ClipImputer:
    """Writes the clip that the model sees, at the video's own size: as many frames as in training,
    around what is hidden. MP4 is lossless, so that visible pixels stay exact; GIF has 256 colours.
    Hidden by a mask or box for all frames, by seconds, by a box for some seconds, or by a ratio.
    """

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, VideoTubelets), "asked only for those"
        hide = request.hidden("video")
        write = _WRITERS.get(request.out.suffix.lower())
        if write is None:
            raise DataError(f"{request.out}: an imputed clip is an .mp4 or a .gif; end it in one")
        files = files_of(model.recipe, name, VideoFiles())
        frames, times_s = _read_clip(request.path, modality, files, hide)
        view = _view(modality)
        in_time = _in_time(times_s, hide, request.path)
        shape = (len(frames), frames.shape[-2], frames.shape[-1])
        hidden = hidden_pixels(hide, shape, view=view, in_time=in_time)
        filled, restored = impute_frames(model, name, frames, hidden=hidden, view=view)
        gaps_s = np.diff(times_s)
        rate_hz = 1.0 / float(np.median(gaps_s)) if len(gaps_s) and gaps_s.max() > 0 else 1.0
        write(filled, request.out, rate_hz)
        about = (
            f"{len(frames)} frames from {times_s[0]:.2f} s to {times_s[-1]:.2f} s, which is the "
            "clip that the model sees, without sound"
        )
        return Imputation(files=(request.out,), notes=(about, *restored.notes))


def _read_clip(
    path: Path, modality: VideoTubelets, files: VideoFiles, hide: Hide
) -> tuple[UInt8[Tensor, "t c h w"], np.ndarray]:
    """Whole frames around the hidden time, else from the middle, and when each is shown."""
    index = index_frames(path)
    center_s = None if hide.seconds is None else sum(hide.seconds) / 2
    times_s, ends_s = index.times_s, index.ends_s
    if files.rate_hz is not None:
        chosen = at_rate(
            times_s,
            ends_s,
            num_frames=modality.num_frames,
            rate_hz=files.rate_hz,
            place=0.5,
            center_s=center_s,
        )
    else:
        chosen = every_nth(
            times_s,
            ends_s,
            num_frames=modality.num_frames,
            stride=files.frame_stride or 1,
            place=0.5,
            center_s=center_s,
        )
    ids, places = np.unique(chosen.ids, return_inverse=True)
    frames, _ = decode(usable_backends(files.backend), path, index, ids)
    pixels = torch.from_numpy(frames)[torch.from_numpy(places)].permute(0, 3, 1, 2)
    return pixels.contiguous(), times_s[chosen.ids]


def _in_time(times_s: np.ndarray, hide: Hide, path: Path) -> Tensor:
    if hide.seconds is None:
        return torch.ones(len(times_s), dtype=torch.bool)
    first, last = hide.seconds
    inside = (times_s >= first) & (times_s < last)
    if not inside.any():
        raise DataError(
            f"{path}: no frame of the clip lies in {first:g}-{last:g} s; its frames are from "
            f"{times_s[0]:.2f} s to {times_s[-1]:.2f} s"
        )
    return torch.from_numpy(inside)


def _view(modality: VideoTubelets) -> FrameView:
    grid = modality.grid
    return FrameView(
        size=modality.size,
        grid=(grid["t"], grid["h"], grid["w"]),
        frames_per_token=modality.tubelet[0],
        to_raw=lambda frames: modality.collate([{"frames": frames}]),
        to_frames=lambda raw: tensor_of(raw, "frames")[0],
    )


def write_mp4(frames: UInt8[Tensor, "t c h w"], path: Path, rate_hz: float) -> None:
    """Lossless H.264 of RGB; DataError where FFmpeg was built without x264."""
    needs("av", extra="video")
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), "w") as container:
            rate = Fraction(rate_hz).limit_denominator(1000)
            stream = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
            stream.height, stream.width = frames.shape[-2:]
            stream.pix_fmt = "rgb24"
            for frame in frames.permute(0, 2, 3, 1).contiguous().numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    except (FFmpegError, ValueError) as error:
        raise DataError(f"{path}: cannot be written as MP4 ({error}); write a .gif") from error


def write_gif(frames: UInt8[Tensor, "t c h w"], path: Path, rate_hz: float) -> None:
    from PIL import Image

    first, *others = [Image.fromarray(f) for f in frames.permute(0, 2, 3, 1).contiguous().numpy()]
    duration_ms = max(round(1000 / rate_hz), 20)
    first.save(path, save_all=True, append_images=others, duration=duration_ms, loop=0)


_WRITERS: dict[str, Callable[[Tensor, Path, float], None]] = {
    ".mp4": write_mp4,
    ".gif": write_gif,
}

IMPUTERS = {VideoTubelets: ClipImputer()}
