"""Small videos of every container that is read, made here by PyAV, and bad ones to be refused."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from modalities.video import VideoFiles, VideoTubelets
from tests.modalities.case import Case


def moving_scene(num_frames: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(t, h, w, 3) uint8: drifting waves with noise, and a white bar as long as the frame number.

    The bar lies in the top quarter and is `width / 32 * (number % 32)` pixels long, so that a frame
    can be told from its neighbours after lossy coding.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    frames = []
    for number in range(num_frames):
        waves = [np.sin(9 * x + 7 * y * k + 0.3 * number * (k - 1)) for k in range(3)]
        frame = 110 + 60 * np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 3))
        frame[: height // 4] = 20
        frame[: height // 4, : width * (number % 32) // 32] = 240
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def bar_number(frame: np.ndarray) -> int:
    """The number, modulo 32, of a frame of `moving_scene` of the same proportions, (h, w, 3)."""
    height, width = frame.shape[:2]
    row = frame[height // 16 : height // 8].mean(axis=(0, 2)) > 130
    return round(32 * float(row.sum()) / width)


def write_video(
    path: Path,
    frames: np.ndarray,
    *,
    rate: int = 25,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    sound_s: float = 0.0,
) -> Path:
    """Frames at a constant rate or at `times_ms`, and that much silence beside them."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = None
        if len(frames):
            stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=16000, layout="mono") if sound_s else None
        if stream is not None:
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = number if times_ms is None else times_ms[number]
                frame.time_base = Fraction(1, rate if times_ms is None else 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound is not None:
            for start in range(0, round(16000 * sound_s), 1024):
                silence = np.zeros((1, 1024), dtype=np.float32)
                frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def cut_in_half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def make_case(root: Path) -> Case:
    b_frames = {"bf": "3", "g": "12"}
    write_video(root / "slow" / "a.mp4", moving_scene(40, 48, 64, seed=1), options=b_frames)
    write_video(root / "slow" / "b.mkv", moving_scene(30, 64, 48, seed=2), sound_s=1.0)
    write_video(root / "slow" / "c.webm", moving_scene(20, 32, 32, seed=3), codec="libvpx", rate=10)
    write_video(root / "fast" / "d.avi", moving_scene(24, 48, 64, seed=4), codec="mpeg4")
    write_video(root / "fast" / "e short.MP4", moving_scene(9, 48, 64, seed=5))
    write_video(root / "fast" / "f.mov", moving_scene(33, 50, 38, seed=6))
    return Case(
        modality=VideoTubelets(num_frames=8, size=(32, 32), tubelet=(2, 16, 8)),
        files=VideoFiles(frame_stride=3),
        root=root,
        round_trip_tolerance={"frames": 0.0},
        imputed_suffix=".mp4",
        bad_files={
            "empty": _empty,
            "text": _text,
            "sound only": lambda root: write_video(
                root / "bad.mp4", np.zeros((0, 2, 2, 3), dtype=np.uint8), sound_s=1.0
            ),
            "MP4 without its end": lambda root: cut_in_half(
                write_video(root / "bad.mp4", moving_scene(50, 48, 64))
            ),
            "fast-start MP4 cut in the middle": lambda root: cut_in_half(
                write_video(
                    root / "bad.mp4",
                    moving_scene(50, 48, 64),
                    container_options={"movflags": "faststart"},
                )
            ),
            "Matroska cut in the middle": lambda root: cut_in_half(
                write_video(root / "bad.mkv", moving_scene(50, 48, 64))
            ),
            "WebM cut in the middle": lambda root: cut_in_half(
                write_video(root / "bad.webm", moving_scene(50, 48, 64), codec="libvpx")
            ),
            "AVI cut in the middle": lambda root: cut_in_half(
                write_video(root / "bad.avi", moving_scene(50, 48, 64), codec="mpeg4")
            ),
        },
    )


def _empty(root: Path) -> Path:
    (root / "bad.mp4").touch()
    return root / "bad.mp4"


def _text(root: Path) -> Path:
    (root / "bad.mp4").write_text("This is not a video.\n" * 50)
    return root / "bad.mp4"
