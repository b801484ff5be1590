"""What is particular to video: decoders that agree, choice of frames, short clips, bad streams."""

import logging
import multiprocessing
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from modalities.video import VideoFiles, VideoTubelets, available_readers
from modalities.video.readers import with_decord
from modalities.video.readers.choice import BACKENDS
from modalities.video.readers.frame_index import index_frames
from omnimask.foundation.errors import DataError
from omnimask.tokens.modality import Visit
from tests.modalities.case_video import bar_number, cut_in_half, moving_scene, write_video

each_backend = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


def needs(name: str) -> None:
    status = available_readers()[name]
    if status.startswith("missing"):
        pytest.skip(f"{name} is {status}")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    needs(request.param)
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos that are hard in different ways; all hold `moving_scene`."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "b_frames.mp4", moving_scene(70, 48, 64), options={"bf": "3", "g": "20"})
    odd = moving_scene(30, 50, 38)
    write_video(root / "one_key.mkv", odd, options={"bf": "2", "g": "250"}, sound_s=1.5)
    write_video(root / "vp8.webm", moving_scene(40, 48, 64), codec="libvpx")
    write_video(root / "plain.avi", moving_scene(40, 48, 64), codec="mpeg4")
    steps = np.random.default_rng(0).integers(15, 90, 59)
    times_ms = [0, *np.cumsum(steps).tolist()]
    write_video(
        root / "variable.mp4", moving_scene(60, 48, 64), options={"bf": "3"}, times_ms=times_ms
    )
    _turned(root / "b_frames.mp4", root / "turned.mp4")
    return root


def _turned(path: Path, out: Path) -> None:
    """A copy of an MP4 that says it is to be shown a quarter turn clockwise.

    The matrix is the last 36 bytes but 8 of the track header (ISO 14496-12, section 8.3.2).
    """
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd")
    size = struct.unpack_from(">I", data, start - 4)[0]
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, start - 4 + size - 44, *matrix)
    out.write_bytes(data)


HARD = ["b_frames.mp4", "one_key.mkv", "vp8.webm", "plain.avi", "variable.mp4", "turned.mp4"]


# Decoders


@each_backend
@pytest.mark.parametrize("name", HARD)
def test_decoders_give_the_frames_that_a_plain_pass_gives(
    folder: Path, backend: str, name: str
) -> None:
    """Bit for bit, at random frames, against decoding everything from the start with PyAV."""
    import av

    with av.open(str(folder / name)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if name == "turned.mp4":
        everything = [np.rot90(frame, k=-1) for frame in everything]
    index = index_frames(folder / name)
    assert len(index) == len(everything)
    if backend == "decord" and index.is_turned:
        pytest.skip("decord is not asked to turn frames")
    rng = np.random.default_rng(0)
    for size in (1, 3, 8):
        ids = np.sort(rng.choice(len(index), size, replace=False))
        frames = BACKENDS[backend].decode(folder / name, index, ids)
        assert np.array_equal(frames, np.stack([everything[i] for i in ids])), ids


def test_frames_carry_the_right_numbers(folder: Path) -> None:
    """So that a plain pass that is itself wrong would be seen."""
    index = index_frames(folder / "b_frames.mp4")
    frames = BACKENDS["pyav"].decode(folder / "b_frames.mp4", index, np.array([5, 31, 40, 69]))
    assert [bar_number(frame) for frame in frames] == [5, 31, 8, 5]


def test_avi_with_b_frames_is_read_by_counting(tmp_path: Path) -> None:
    """Such a file states no presentation times; decord and torchcodec get lost in it."""
    path = write_video(
        tmp_path / "a.avi", moving_scene(40, 48, 64), codec="libx264", options={"bf": "2"}
    )
    assert not index_frames(path).has_times
    modality = VideoTubelets(num_frames=4, size=(48, 48), tubelet=(2, 8, 8))
    source = VideoFiles(frame_stride=5).open(str(tmp_path), modality)
    frames = source.read(0, Visit(key=0, augment=False))["frames"]
    whole = BACKENDS["pyav"].decode(path, index_frames(path), np.arange(40))
    assert [bar_number(frame) for frame in whole] == [n % 32 for n in range(40)]
    assert frames.shape == (4, 3, 48, 48)


def test_turned_videos_are_upright(folder: Path, tmp_path: Path) -> None:
    """Never by decord: 0.6 ends its process on this one, whose frames are 48 rows by 64."""
    (tmp_path / "a.mp4").symlink_to(folder / "turned.mp4")
    modality = VideoTubelets(num_frames=2, size=(64, 48), tubelet=(2, 16, 16))
    source = VideoFiles(frame_stride=31).open(str(tmp_path), modality)
    turned = source.read(0, Visit(key=0, augment=False))["frames"]
    back = [np.rot90(frame.permute(1, 2, 0).numpy()) for frame in turned]
    assert [bar_number(frame) for frame in back] == [19, 18]


def test_backends_are_listed_in_order() -> None:
    assert list(available_readers()) == ["decord", "torchcodec", "pyav"]
    assert available_readers()["pyav"][0].isdigit()


def test_one_log_line_says_which_decoder(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = next(
        name for name, status in available_readers().items() if not status.startswith("missing")
    )
    with caplog.at_level(logging.INFO, logger="omnimask"):
        VideoFiles().open(str(folder), VideoTubelets())
    lines = [line.getMessage() for line in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith(f"video is decoded by {first} ")


def test_auto_goes_on_to_the_next_decoder_and_says_so_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = VideoFiles().open(str(folder), VideoTubelets(size=(32, 32)))

    def refuse(path: Path, index: object, ids: object) -> None:
        raise DataError(f"{path}: not today")

    for name in BACKENDS:
        if name != "pyav":
            monkeypatch.setattr(BACKENDS[name], "decode", refuse)
    with caplog.at_level(logging.WARNING, logger="omnimask"):
        source.read(0, Visit(key=0))
        source.read(0, Visit(key=1))
    usable = [
        name for name, status in available_readers().items() if not status.startswith("missing")
    ]
    assert len(caplog.records) == (usable != ["pyav"])


# decord's own process


@pytest.fixture
def decord_pid(folder: Path) -> Iterator[int]:
    needs("decord")
    with_decord.version()
    yield with_decord._children[os.getpid()].process.pid
    with_decord._stop()


def test_a_decord_that_dies_costs_one_file_and_no_more(folder: Path, decord_pid: int) -> None:
    path = folder / "b_frames.mp4"
    index, ids = index_frames(path), np.array([1, 2])
    os.kill(decord_pid, signal.SIGKILL)
    with pytest.raises(DataError, match=r"b_frames\.mp4: decord died"):
        with_decord.decode(path, index, ids)
    assert with_decord.decode(path, index, ids).shape == (2, 48, 64, 3)


def test_a_decord_that_hangs_is_given_up(
    folder: Path, decord_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_decord, "_PATIENCE_S", 0.2)
    os.kill(decord_pid, signal.SIGSTOP)
    path = folder / "b_frames.mp4"
    with pytest.raises(DataError, match=r"b_frames\.mp4: decord died or hung.*no answer"):
        with_decord.decode(path, index_frames(path), np.array([1]))


def _shape_in_fork(path: Path, answers: "multiprocessing.SimpleQueue[object]") -> None:
    frames = with_decord.decode(path, index_frames(path), np.array([3]))
    answers.put((frames.shape, with_decord._children[os.getpid()].process.pid))
    with_decord._stop()


def test_a_forked_process_has_a_decord_of_its_own(folder: Path, decord_pid: int) -> None:
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    worker = fork.Process(target=_shape_in_fork, args=(folder / "b_frames.mp4", answers))
    worker.start()
    shape, pid = answers.get()
    worker.join(10)
    assert shape == (1, 48, 64, 3)
    assert pid != decord_pid
    path = folder / "b_frames.mp4"
    assert with_decord.decode(path, index_frames(path), np.array([3])).shape == shape


# Clips


@each_backend
def test_variable_rate_is_read_by_time(folder: Path, backend: str, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").symlink_to(folder / "variable.mp4")
    modality = VideoTubelets(num_frames=8, size=(48, 64), tubelet=(2, 16, 16))
    files = VideoFiles(frame_stride=None, rate_hz=4.0, backend=backend)  # pyright: ignore[reportArgumentType]
    source = files.open(str(tmp_path), modality)
    frames = source.read(0, Visit(key=0, augment=False, center_s=1.5))["frames"]
    index = index_frames(folder / "variable.mp4")
    expected = [
        int(np.searchsorted(index.times_s, 0.5 + i / 4 + 1e-9, side="right") - 1) for i in range(8)
    ]
    numbers = [bar_number(frame.permute(1, 2, 0).numpy()) for frame in frames]
    assert numbers == [i % 32 for i in expected]


def test_a_source_says_where_it_cuts_and_a_view_around_that_is_the_same(folder: Path) -> None:
    modality = VideoTubelets(num_frames=4, size=(32, 32), tubelet=(2, 16, 16))
    source = VideoFiles(frame_stride=2).open(str(folder), modality)
    center_s = source.center_s(0, Visit(key=3))
    frames = source.read(0, Visit(key=3))["frames"]
    again = source.read(0, Visit(key=3, center_s=center_s))["frames"]
    assert torch.equal(frames, again)
    assert 0.1 < center_s < 70 / 25
    assert center_s != source.center_s(0, Visit(key=4))
    assert source.center_s(0, Visit(key=3, center_s=0.5)) == 0.5


def test_all_frames_have_the_same_box(tmp_path: Path) -> None:
    still = np.repeat(moving_scene(1, 64, 64), 24, axis=0)
    write_video(tmp_path / "a.mp4", still, options={"qp": "0"})
    modality = VideoTubelets(num_frames=8, size=(32, 32), tubelet=(2, 16, 16))
    source = VideoFiles(frame_stride=2, flip=0.5).open(str(tmp_path), modality)
    frames = source.read(0, Visit(key=1))["frames"]
    assert (frames.int() - frames[:1].int()).abs().max() <= 1


# Short clips


def test_a_short_clip_is_padded_and_never_valid_there(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_scene(13, 32, 32), options={"qp": "0"})
    modality = VideoTubelets(
        num_frames=8, size=(32, 32), tubelet=(2, 16, 16), mean=(0.5,) * 3, std=(0.2,) * 3
    )
    source = VideoFiles(frame_stride=3).open(str(tmp_path), modality)
    sample = source.read(0, Visit(key=0, augment=False))
    assert len(sample["frames"]) == 5  # numbers 0, 3, 6, 9 and 12
    raw = modality.collate([sample])
    frames = raw["frames"]
    assert isinstance(frames, torch.Tensor)
    assert raw["num_frames"] == (5,)
    assert torch.equal(frames[0, 5], frames[0, 4])  # the third tubelet is filled up
    assert not frames[0, 6:].any()
    tokens = modality.split(raw)
    assert tokens.num_valid == (3 * 4,)
    assert tokens.valid[0].tolist() == [True] * 12 + [False] * 4
    assert torch.equal(tokens.scorable, tokens.valid)


# Bad streams


def test_damage_inside_the_pictures_never_ends_the_process(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_scene(60, 48, 64))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    source = VideoFiles(frame_stride=7).open(
        str(tmp_path), VideoTubelets(num_frames=8, size=(32, 32))
    )
    try:
        frames = source.read(0, Visit(key=0))["frames"]
    except DataError:
        return  # as good as frames with visible damage
    assert frames.shape == (8, 3, 32, 32)


def test_a_webm_without_a_stated_length_is_no_bad_file(tmp_path: Path) -> None:
    """What a browser records: the length is not known when the header is written."""
    path = write_video(
        tmp_path / "a.webm",
        moving_scene(30, 32, 32),
        codec="libvpx",
        container_options={"live": "1"},
    )
    assert len(index_frames(path)) == 30


def test_a_cut_matroska_is_known_by_its_stated_length(tmp_path: Path) -> None:
    path = cut_in_half(write_video(tmp_path / "a.mkv", moving_scene(60, 48, 64)))
    with pytest.raises(DataError, match=r"a\.mkv: ends after .* but states 2\.40 s"):
        index_frames(path)
