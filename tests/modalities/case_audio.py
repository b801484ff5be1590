"""Small sound files of several formats, made here, and the bad ones that must be refused."""

from pathlib import Path

import numpy as np

from modalities.audio import AudioFiles, AudioSpectrogram
from tests.modalities.case import Case


def chirp(seconds: float, rate_hz: int, *, seed: int = 0, channels: int = 1) -> np.ndarray:
    """(n, channels) float32: a rising tone with a little noise, different in each channel."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    low, rise = rng.uniform(200, 400, channels), rng.uniform(300, 900, channels)
    phase = 2 * np.pi * (low * time_s[:, None] + 0.5 * rise * time_s[:, None] ** 2)
    noise = rng.standard_normal((len(time_s), channels))
    return (0.4 * np.sin(phase) + 0.02 * noise).astype(np.float32)


def write(path: Path, sound: np.ndarray, rate_hz: int, subtype: str | None = None) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), sound, rate_hz, subtype=subtype)
    return path


def encode(
    path: Path,
    sound: np.ndarray,
    rate_hz: int,
    codec: str,
    *,
    picture: bool = False,
    late_s: float = 0.0,
) -> Path:
    """A stereo sound track by PyAV in the container that the suffix names, with or without video.

    No sound track at all if `sound` is empty; it begins `late_s` after the pictures.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10) if picture else None
        track = container.add_stream(codec, rate=rate_hz, layout="stereo") if len(sound) else None
        if isinstance(video, av.VideoStream):
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            for number in range(20):
                image = np.full((32, 32, 3), 10 * number, dtype=np.uint8)
                picture_frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                picture_frame.pts = number
                container.mux(video.encode(picture_frame))
            container.mux(video.encode(None))
        if isinstance(track, av.AudioStream):
            stereo = np.ascontiguousarray(np.broadcast_to(sound.T, (2, len(sound))))
            frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate_hz, round(late_s * rate_hz)
            resampler = av.AudioResampler(
                format=track.format.name,
                layout="stereo",
                rate=rate_hz,
                frame_size=track.codec_context.frame_size or 1024,
            )
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path


def make_case(root: Path) -> Case:
    write(root / "low" / "a.wav", chirp(2.0, 16_000, seed=1), 16_000)
    write(root / "low" / "b.flac", chirp(1.7, 22_050, seed=2, channels=2), 22_050)
    write(root / "low" / "c.mp3", chirp(1.9, 44_100, seed=3, channels=2), 44_100)
    write(root / "high" / "d.ogg", chirp(2.5, 32_000, seed=4), 32_000)
    write(root / "high" / "e short.wav", chirp(0.7, 8_000, seed=5), 8_000)
    encode(root / "high" / "f.mp4", chirp(2.0, 44_100, seed=6), 44_100, "aac", picture=True)
    return Case(
        modality=AudioSpectrogram(window_s=1.28, num_mels=32),
        files=AudioFiles(gain_db=6.0),
        root=root,
        round_trip_tolerance={"logmel": 1e-4},
        imputed_suffix=".wav",
        bad_files={
            "empty": _empty,
            "only a header": _only_header,
            "text": _text,
            "cut-off flac": _cut_off,
            "video without sound": _silent_video,
            "NaN": _nan,
            "shorter than a patch": _too_short,
        },
    )


def _empty(root: Path) -> Path:
    (root / "bad.wav").touch()
    return root / "bad.wav"


def _only_header(root: Path) -> Path:
    return write(root / "bad.wav", np.zeros((0, 1), dtype=np.float32), 16_000)


def _text(root: Path) -> Path:
    (root / "bad.wav").write_text("This is not sound.\n" * 50)
    return root / "bad.wav"


def _cut_off(root: Path) -> Path:
    path = write(root / "bad.flac", chirp(1.2, 16_000), 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _silent_video(root: Path) -> Path:
    return encode(root / "bad.mp4", np.zeros((0, 1), dtype=np.float32), 1, "aac", picture=True)


def _nan(root: Path) -> Path:
    sound = chirp(1.5, 16_000)
    sound[12_000] = np.nan
    return write(root / "bad.wav", sound, 16_000, subtype="FLOAT")


def _too_short(root: Path) -> Path:
    return write(root / "bad.wav", chirp(0.1, 16_000), 16_000)
